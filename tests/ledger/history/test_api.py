"""Which days were read, what changed, and where a figure comes from, over HTTP."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from contract.messages import AnswerHash
from ledger.history import api

from tests.ledger.support.ledger import FIRST, NOON, OTHER_ACCOUNT, LedgerHarness, Reading, later, reading_of
from tests.support.messages import ACCOUNT

SECOND = FIRST + timedelta(days=1)
BOTH = {"from": str(FIRST), "to": str(SECOND)}
AN_HOUR_EACH = [datetime(2026, 11, 2, hour, tzinfo=UTC) for hour in range(24)]
"""Instants after the end of FIRST."""


async def _get(http: httpx.AsyncClient, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
    answer = await http.get(f"/v1/accounts/{ACCOUNT}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


async def _every(http: httpx.AsyncClient, path: str, query: Mapping[str, str], part: str) -> list[list[Any]]:
    """The parts of all pages."""
    page = await _get(http, path, query)
    pages = [page[part]]
    while page["next_cursor"]:
        page = await _get(http, path, {**query, "cursor": page["next_cursor"]})
        pages.append(page[part])
    return pages


async def _read_hourly(ledger: LedgerHarness, team: UUID, *usd: str) -> list[Reading]:
    """Readings of FIRST, an hour after each other."""
    readings = [
        reading_of(team, {FIRST: {"grok-4": one}}, observed_at=at) for one, at in zip(usd, AN_HOUR_EACH, strict=False)
    ]
    for reading in readings:
        await ledger.receive(*reading.messages)
    return readings


@pytest.fixture
async def team(ledger: LedgerHarness, team: UUID) -> UUID:
    await ledger.add(team)
    return team


async def _coverage(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    """FIRST and SECOND of the only integration."""
    return [day["integrations"][0] for day in (await _get(http, "coverage", BOTH))["days"]]


async def test_a_day_was_read_or_it_was_not(ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID) -> None:
    await ledger.record(team, {FIRST: {}})

    coverage = await _get(http, "coverage", BOTH)

    assert [(day["day"], day["covered"]) for day in coverage["days"]] == [(str(FIRST), True), (str(SECOND), False)]
    assert await _coverage(http) == [
        {
            "integration_id": str(team),
            "covered": True,
            "usd": "0",
            "observed_at": "2026-11-20T12:00:00.000000Z",
            "provisional": False,
            "restated": False,
            "reason": None,
            "why": None,
        },
        {
            "integration_id": str(team),
            "covered": False,
            "usd": None,
            "observed_at": None,
            "provisional": False,
            "restated": False,
            "reason": "not_read",
            "why": "It has not been read yet.",
        },
    ]


async def test_a_day_that_was_read_before_it_was_over_is_not_covered(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    await ledger.record(team, {FIRST: {"a": "1"}}, observed_at=datetime(2026, 11, 1, 12, tzinfo=UTC))

    day, _ = await _coverage(http)

    assert (day["covered"], day["usd"], day["reason"]) == (False, "1", "read_before_its_end")


async def test_a_day_is_restated_where_what_was_reported_after_its_end_has_changed(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    in_the_day = datetime(2026, 11, 2, 1, tzinfo=UTC)
    for costs, hours in (({FIRST: "1", SECOND: "1"}, 0), ({FIRST: "2", SECOND: "2"}, 24), ({SECOND: "2"}, 48)):
        by_day = {day: {"a": usd} for day, usd in costs.items()}
        await ledger.record(team, by_day, observed_at=in_the_day + timedelta(hours=hours))

    first, second = await _coverage(http)

    assert (first["restated"], second["restated"]) == (True, False)


async def test_a_questioned_day_keeps_its_figure_until_it_is_read_again(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    await _read_hourly(ledger, team, "5")
    asked = reading_of(team, {SECOND: {"a": "1"}}, observed_at=later(-2))
    window = asked.window.model_copy(update={"first_day": FIRST, "questioned_days": (FIRST,)})
    await ledger.receive(*asked.days, window)

    (day, _) = await _coverage(http)
    (life,) = (await _get(http, f"days/{FIRST}"))["integrations"]
    assert (day["covered"], day["usd"], day["reason"]) == (True, "5", "questioned")
    assert life["why"] == day["why"]

    await ledger.record(team, {FIRST: {"grok-4": "5"}}, observed_at=later(-1))
    (day, _) = await _coverage(http)
    assert day["reason"] is None


async def test_a_day_that_did_not_arrive_whole_is_named(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    reading = reading_of(team, {FIRST: {"a": "1"}}, cut=[SECOND])
    await ledger.receive(*reading.messages)

    _, day = await _coverage(http)

    assert (day["covered"], day["reason"]) == (False, "not_reconciled")


async def test_coverage_is_cut_between_days_by_the_client_and_by_its_size(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.add(uuid4())
    await ledger.record(team, {FIRST: {"a": "1"}})
    query = {"from": str(FIRST), "to": "2026-11-07"}
    (whole,) = await _every(http, "coverage", query, "days")

    by_limit = await _every(http, "coverage", query | {"limit": "3"}, "days")
    monkeypatch.setattr(api, "MAX_ROWS", 5)
    by_size = await _every(http, "coverage", query, "days")

    assert [len(page) for page in by_limit] == [3, 3, 1]
    assert [len(page) for page in by_size] == [2, 2, 2, 1]
    assert [*chain(*by_limit)] == [*chain(*by_size)] == whole


async def test_what_changed_is_listed_with_its_readings_the_last_change_first(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    first, equal, second, third = await _read_hourly(ledger, team, "1", "1", "2.50", "3")

    newest, oldest = (await _get(http, "revisions", BOTH))["revisions"]

    assert oldest == {
        "integration_id": str(team),
        "day": str(FIRST),
        "usd": "1",
        "new_usd": "2.5",
        "costs": [{"label": "grok-4", "product": None, "model": "grok-4", "usd": "1"}],
        "reading_id": str(equal.reading_id),
        "valid_from": f"{first.observed_at:%FT%TZ}".replace("Z", ".000000Z"),
        "valid_to": f"{second.observed_at:%FT%TZ}".replace("Z", ".000000Z"),
        "replaced_by": str(second.reading_id),
    }
    assert (newest["usd"], newest["new_usd"], newest["replaced_by"]) == ("2.5", "3", str(third.reading_id))


async def test_revisions_are_read_page_by_page_and_none_twice(
    ledger: LedgerHarness, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for team in (uuid4(), uuid4()):  # changes at the same instants
        await ledger.add(team)
        await _read_hourly(ledger, team, *map(str, range(6)))
    (whole,) = await _every(http, "revisions", BOTH, "revisions")

    pages = await _every(http, "revisions", BOTH | {"limit": "3"}, "revisions")
    monkeypatch.setattr("ledger.store.history.MAX_BYTES", 1)
    by_size = await _every(http, "revisions", BOTH, "revisions")

    assert len(whole) == 10
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [len(page) for page in by_size] == [1] * 10
    assert [*chain(*pages)] == [*chain(*by_size)] == whole


async def test_a_figure_names_its_reading_the_request_behind_it_and_what_was_known_before(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    await _read_hourly(ledger, team, "1")
    reading = reading_of(team, {FIRST: {"grok-4": "2"}, SECOND: {}}, observed_at=later(-3))
    answer = AnswerHash(first_day=FIRST, last_day=SECOND, sha256="ab" * 32)
    await ledger.receive(*reading.days, reading.window.model_copy(update={"answers": (answer,)}))
    ((stored_at,),) = await ledger.sql("SELECT max(stored_at) FROM outcomes")

    life = await _get(http, f"days/{FIRST}")

    (one,) = life.pop("integrations")
    assert life == {"currency": "USD", "day": str(FIRST), "covered": True, "usd": "2", "next_cursor": None}
    assert one["costs"] == [{"label": "grok-4", "product": None, "model": "grok-4", "usd": "2"}]
    assert one["valid_from"] == "2026-11-20T09:00:00.000000Z"
    assert one["reading"] == {
        "reading_id": str(reading.reading_id),
        "observed_at": "2026-11-20T09:00:00.000000Z",
        "first_day": str(FIRST),
        "last_day": str(SECOND),
        "trigger": "force",
        "request_ids": ["request-1"],
        "answers": [{"first_day": str(FIRST), "last_day": str(SECOND), "sha256": "ab" * 32}],
        "reconciled": True,
        "stored_at": f"{stored_at.astimezone(UTC):%FT%T.%fZ}",
    }
    (former,) = one["former"]
    assert (former["usd"], former["replaced_by"]) == ("1", str(reading.reading_id))
    assert (former["reading"]["request_ids"], former["reading"]["answers"]) == (["request-1"], None)


async def test_a_reading_of_an_incomplete_window_is_known_by_its_id_only(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    reading = await ledger.record(team, {FIRST: {"a": "1"}})

    (one,) = (await _get(http, f"days/{FIRST}"))["integrations"]

    known = {name: value for name, value in one["reading"].items() if value is not None}
    assert known == {"reading_id": str(reading.reading_id), "observed_at": "2026-11-20T12:00:00.000000Z"}


async def test_a_day_that_was_not_read_has_an_entry_with_the_reason(http: httpx.AsyncClient, team: UUID) -> None:
    life = await _get(http, f"days/{FIRST}")

    (one,) = life["integrations"]
    assert (life["covered"], life["usd"]) == (False, None)
    assert (one["integration_id"], one["reading"], one["reason"]) == (str(team), None, "not_read")


async def test_a_day_of_many_integrations_has_pages_with_the_same_sum(
    ledger: LedgerHarness, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await ledger.add(team := uuid4())
        await ledger.record(team, {FIRST: {"a": "1"}})
    (whole,) = await _every(http, f"days/{FIRST}", {}, "integrations")

    pages = await _every(http, f"days/{FIRST}", {"limit": "2"}, "integrations")
    monkeypatch.setattr(api, "MAX_BYTES", 1)
    by_size = await _every(http, f"days/{FIRST}", {}, "integrations")

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [len(page) for page in by_size] == [1] * 5
    assert [*chain(*pages)] == [*chain(*by_size)] == whole
    assert (await _get(http, f"days/{FIRST}", {"limit": "1"}))["usd"] == "5"


@pytest.mark.parametrize("path", ["coverage", "revisions", f"days/{FIRST}"])
async def test_nothing_is_sent_again_that_the_client_has(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID, path: str
) -> None:
    await _read_hourly(ledger, team, "1")
    url = f"/v1/accounts/{ACCOUNT}/{path}"
    etag = (await http.get(url)).headers["etag"]

    known = await http.get(url, headers={"If-None-Match": etag})
    await ledger.record(team, {FIRST: {"grok-4": "2"}}, observed_at=NOON)
    changed = await http.get(url, headers={"If-None-Match": etag})

    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", etag)
    assert changed.status_code == 200


@pytest.mark.parametrize("path", ["coverage", "revisions", f"days/{FIRST}"])
async def test_an_account_sees_its_own_history_only(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID, path: str
) -> None:
    await _read_hourly(ledger, team, "1", "2")
    url = f"/v1/accounts/{OTHER_ACCOUNT}/{path}"

    named = await http.get(url, params={"integration_id": str(team)})
    unnamed = (await http.get(url)).text

    assert (named.status_code, named.json()["code"]) == (404, "not_found")
    assert str(team) not in unnamed


@pytest.mark.parametrize(
    "path",
    [
        "coverage?from=2026-11-02&to=2026-11-01",
        "coverage?cursor=2026-11-02.2026-11-01",
        "revisions?cursor=2026-11-02T00:00:00Z_2026-11-01_2026-11-01",
        "revisions?cursor=2026-99-02T00:00:00Z_11111111-1111-4111-8111-111111111111_2026-11-01",
        "revisions?limit=101",
        "days/yesterday",
        "days/2026-11-01?cursor=first",
    ],
)
async def test_what_makes_no_sense_is_refused(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(f"/v1/accounts/{ACCOUNT}/{path}")

    assert (answer.status_code, answer.json()["code"]) == (422, "request_malformed")
