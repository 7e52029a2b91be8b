"""The answer with daily costs: the same as from models, in parts, in pages, and only where it has changed."""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from common.database import Database, make_engine
from contract.fields import Status
from contract.messages import Cost, CostRecorded
from contract.money import plain, total
from contract.problems import Code
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger import daily_costs
from ledger.api import Routes
from ledger.daily_costs import DailyCosts, prepare
from ledger.schemas import Costs
from ledger.store.costs import Selection
from pydantic import SecretStr
from sqlalchemy import make_url

from tests.conftest import FAKE_PASSWORD
from tests.ledger.support.costs_model import costs_of_account
from tests.ledger.support.ledger import ERASED, FIRST, NOON, REMOVED, LedgerHarness, later, reading_of
from tests.support.messages import ACCOUNT

URL = f"/v1/accounts/{ACCOUNT}/costs"
LAST = FIRST + timedelta(days=3)
PAGE = {"from": str(FIRST), "to": str(LAST)}
TEAMS = [UUID(int=number) for number in (1, 2, 3)]

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ['"', "\\", '{"usd": "', "\x1f\n\x7f", "é\u2028\U0001f600"]
)
amounts = st.decimals("-9e14", "9e14", places=10).map(plain) | st.sampled_from(["0." + "0" * 39 + "1", "1E-9", "1E+3"])
costs_of_a_day = st.dictionaries(texts, st.tuples(st.none() | texts, texts, amounts), max_size=3)
readings = st.lists(
    st.tuples(st.sampled_from(TEAMS), st.integers(0, 3), st.integers(-480, 96), st.booleans(), costs_of_a_day),
    max_size=8,
)
"""Team, day, hours before or after NOON, whether its window came too, label → product, model, amount."""
instants = st.none() | st.integers(-500, 100).map(lambda hours: later(hours + 0.5))
states = st.sampled_from(
    [
        {},
        {"added_at": later(-240)},
        REMOVED,
        REMOVED | {"removed_at": datetime(2026, 11, 3, 15, tzinfo=UTC)},
        ERASED,
        {"status": Status.ERROR, "status_code": Code.ALREADY_CONNECTED},
    ]
)


async def _receive(
    ledger: LedgerHarness, team: UUID, day: date, observed_at: datetime, costs: Any, *, whole: bool
) -> None:
    lines = tuple(
        Cost(label=label, product=product, model=model, usd=Decimal(usd))
        for label, (product, model, usd) in sorted(costs.items())
    )
    reading = reading_of(team, {day: {}}, observed_at=observed_at)
    changed = {"costs": lines, "usd": (usd := total(line.usd for line in lines))}
    window = reading.window.model_copy(update={"totals": {day: usd}})
    await ledger.receive(reading.days[0].model_copy(update=changed), *([window] if whole else []))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    readings=readings,
    known=st.lists(st.tuples(st.sampled_from(TEAMS), states), max_size=4),
    asked=st.tuples(st.sampled_from([None, *TEAMS]), instants),
    rows=st.integers(1, 9),
)
async def test_what_is_sent_as_it_was_stored_is_what_the_models_would_write(
    ledger: LedgerHarness, http: httpx.AsyncClient, readings: Any, known: Any, asked: Any, rows: int
) -> None:
    await ledger.clear()
    for version, (team, state) in enumerate(known, start=1):
        await ledger.add(team, **state | {"version": version})
    for team, day, hours, whole, costs in readings:
        await _receive(ledger, team, FIRST + timedelta(days=day), later(hours), costs, whole=whole)
    integration_id, as_of = asked
    query = PAGE | ({"integration_id": str(integration_id)} if integration_id else {})
    query |= {"as_of": f"{as_of:%Y-%m-%dT%H:%M:%SZ}"} if as_of else {}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(daily_costs, "ROWS_OF_A_PART", rows)
        answer = await http.get(URL, params=query)

    expected = await costs_of_account(ledger, NOON, FIRST, LAST, integration_id, as_of)
    if expected is None:
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        return
    assert answer.json() == expected.model_dump(mode="json")
    assert Costs.model_validate_json(answer.content) == expected


async def test_an_amount_is_written_plainly_whatever_form_its_message_has(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    (day,) = reading_of(team, {FIRST: {"a": "1.10", "b": "1E-9"}}).days
    body = day.model_dump(mode="json") | {"usd": "1.100000001"}
    body["costs"] = [one | {"usd": usd} for one, usd in zip(body["costs"], ("1.10", "1E-9"), strict=True)]
    await ledger.receive(CostRecorded.model_validate_json(json.dumps(body)))

    models = (await http.get(URL, params=PAGE)).json()["days"][0]["models"]

    assert [(one["product"], one["usd"]) for one in models] == [(None, "1.1"), (None, "0.000000001")]


async def test_labels_of_one_model_are_one_row_where_models_are_requested(
    ledger: LedgerHarness, http: httpx.AsyncClient
) -> None:
    costs = {
        "API x": ("API", "x", "0.1"),
        "API é": ("API", "é", "7"),
        "Chat x": ("Chat", "x", "0.2"),
        "Z": (None, "Z", "1"),
    }
    for team in TEAMS[:2]:
        await _receive(ledger, team, FIRST, NOON, costs, whole=True)

    by_label, by_model, by_day = [
        (await http.get(URL, params=PAGE | {"by": by})).json()["days"][0] for by in ("label", "model", "day")
    ]

    assert [
        (one["integration_id"], one["label"], one["product"], one["model"], one["usd"]) for one in by_model["models"]
    ] == [
        (str(team), name, None, name, usd) for team in TEAMS[:2] for name, usd in (("Z", "1"), ("x", "0.3"), ("é", "7"))
    ]
    assert len(by_label["models"]) == 8
    assert by_model["usd"] == by_label["usd"] == by_day["usd"] == "16.6"
    assert by_day["models"] == []


async def test_pages_are_cut_between_days_and_are_the_whole_together(
    ledger: LedgerHarness, http: httpx.AsyncClient
) -> None:
    for team in TEAMS:
        await ledger.add(team)
        await ledger.record(team, {FIRST + timedelta(days=day): {"a": "1", "b": "2"} for day in range(4)})
    whole = (await http.get(URL, params=PAGE)).json()

    days, query = [], {"limit": "3"} | PAGE
    while True:
        page = (await http.get(URL, params=query)).json()
        days += page["days"]
        if page["next_cursor"] is None:
            break
        query = {"limit": "3", "cursor": page["next_cursor"]}

    assert (days, len(page["days"])) == (whole["days"], 1)


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "2026-11-05.2026-11-04"},
        {"cursor": "2026-02-30.2026-11-04"},
        {"cursor": "2026-11-05"},
        {"cursor": "2026-11-05.2026-11-09", "to": "2026-11-08"},
        {"cursor": "2026-11-05.2026-11-09", "from": "2026-11-06"},
        {"limit": "0"},
        {"by": "product"},
    ],
)
async def test_a_page_that_makes_no_sense_is_refused(http: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await http.get(URL, params=query)

    assert (answer.status_code, answer.json()["code"]) == (422, "request_malformed")


async def test_a_screen_that_asks_again_gets_the_costs_only_when_they_have_changed(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    async def ask(etag: str, **query: str) -> tuple[int, str]:
        answer = await http.get(URL, params=PAGE | query, headers={"If-None-Match": etag})
        assert (len(answer.content) > 0) == (answer.status_code == 200)
        assert answer.headers["cache-control"] == "private, no-cache"
        return answer.status_code, answer.headers["etag"]

    _, nothing = await ask("")
    await ledger.add(team)
    _, added = await ask(nothing)
    await ledger.record(team, {FIRST: {"a": "1"}})
    _, read = await ask(added)
    await ledger.record(team, {FIRST: {"a": "1"}}, observed_at=later(1))
    _, again = await ask(read)

    assert len({nothing, added, read, again}) == 4
    assert await ask(again) == (304, again)
    assert await ask(f'"other", W/{again}') == (304, again)
    assert (await ask(again, by="model"))[0] == (await ask(again, limit="2"))[0] == 200
    assert (await ask(again, as_of=later(-1).isoformat()))[0] == 200


async def _prepared(ledger: LedgerHarness, now: datetime = NOON) -> DailyCosts:
    async with ledger.database.pipeline() as pipeline:
        return await prepare(pipeline, Selection(ACCOUNT, FIRST, LAST), now, None)


async def _first_part(ledger: LedgerHarness, answer: DailyCosts) -> bytes:
    async with ledger.database.direct() as driver:
        return await answer.first_part(driver)


async def test_a_day_that_begins_changes_the_answer(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.add(team, removed_at=later(1))

    tags = [(await _prepared(ledger, at)).etag for at in (NOON, later(0.5), later(1), later(13))]

    assert (tags[0] == tags[1], len(set(tags))) == (True, 3)


async def test_a_part_has_whole_days_of_few_rows(ledger: LedgerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        await ledger.add(UUID(int=number))
        await ledger.record(UUID(int=number), {FIRST + timedelta(days=day): {"a": "1"} for day in range(4)})
    monkeypatch.setattr(daily_costs, "ROWS_OF_A_PART", 15)

    answer = await _prepared(ledger)
    parts = [await _first_part(ledger, answer), *[part async for part in answer.further_parts(ledger.database)]]

    assert [part.count(b'"label"') for part in parts] == [12, 12]
    assert len(json.loads(b"".join(parts))["days"]) == 4


async def test_a_day_that_is_read_again_meanwhile_is_sent_whole(
    ledger: LedgerHarness, team: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.record(team, {FIRST: {"a": "1"}, LAST: {"a": "1"}})
    monkeypatch.setattr(daily_costs, "ROWS_OF_A_PART", 1)
    answer = await _prepared(ledger)

    body = await _first_part(ledger, answer)
    await ledger.record(team, {FIRST: {"a": "5"}, LAST: {"a": "7", "b": "1"}}, observed_at=later(1))
    body += b"".join([part async for part in answer.further_parts(ledger.database)])

    first, *_, last = json.loads(body)["days"]
    assert (first["usd"], [one["usd"] for one in first["models"]]) == ("1", ["1"])
    assert (last["usd"], [one["usd"] for one in last["models"]]) == ("8", ["7", "1"])


@pytest.fixture
async def reading(postgres: str) -> Any:
    """The ledger's database as the routes use it, with statements that may take no time."""
    url = make_url(postgres).set(username="ledger", password=FAKE_PASSWORD).render_as_string(hide_password=False)
    session = {"statement_timeout": "100", "default_transaction_read_only": "on"}
    database = Database(make_engine(SecretStr(url), schema="ledger", session=session, pool_size=2))
    yield database
    await database.close()


async def test_a_read_that_takes_too_long_is_a_503(
    ledger: LedgerHarness, reading: Database, app: FastAPI, http: httpx.AsyncClient
) -> None:
    app.router.routes.clear()
    app.include_router(Routes(reading, clock=lambda: NOON).router())
    async with ledger.owner.transaction() as connection:
        await connection.exec_driver_sql("LOCK TABLE days")
        answer = await http.get(URL, params=PAGE)

    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "5")
    assert (await http.get(URL, params=PAGE)).status_code == 200


async def test_a_client_that_hangs_up_ends_its_statement(
    ledger: LedgerHarness, team: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.record(team, {FIRST: {"a": "1"}, LAST: {"a": "1"}})
    monkeypatch.setattr(daily_costs, "ROWS_OF_A_PART", 1)
    answer = await _prepared(ledger)
    parts = answer.further_parts(ledger.database)

    async with ledger.owner.transaction() as connection:
        await connection.exec_driver_sql("LOCK TABLE days")
        reading = asyncio.ensure_future(anext(parts))
        await _until_statements_wait(ledger, 1)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        await _until_statements_wait(ledger, 0)


async def _until_statements_wait(ledger: LedgerHarness, number: int) -> None:
    async with asyncio.timeout(10):
        while await ledger.sql("SELECT 1 FROM pg_locks WHERE NOT granted") != [(1,)] * number:
            await asyncio.sleep(0.01)


async def test_a_session_that_reads_cannot_write(reading: Database) -> None:
    with pytest.raises(Exception, match="read-only transaction"):
        async with reading.transaction() as connection:
            await connection.exec_driver_sql("DELETE FROM erased")
