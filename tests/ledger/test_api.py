"""The ledger's answers over HTTP."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from contract.fields import Status
from contract.problems import Code

from tests.ledger.support.ledger import ERASED, FIRST, NOON, REMOVED, LedgerHarness, later, reading_of
from tests.support.messages import ACCOUNT

TODAY = NOON.date()


async def _days(http: httpx.AsyncClient, first: date, last: date, **query: str) -> list[dict[str, Any]]:
    answer = await http.get(f"/v1/accounts/{ACCOUNT}/costs", params={"from": str(first), "to": str(last)} | query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["currency"] == "USD"
    days: list[dict[str, Any]] = answer.json()["days"]
    return days


@pytest.fixture
async def team(ledger: LedgerHarness, team: UUID) -> UUID:
    await ledger.add(team)
    return team


async def test_a_day_is_shown_with_its_models(ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID) -> None:
    await ledger.record(team, {FIRST: {"grok-4": "1.10", "grok-5": "0.0000001"}})

    (day,) = await _days(http, FIRST, FIRST)

    assert day == {
        "day": "2026-11-01",
        "covered": True,
        "provisional": False,
        "restated": False,
        "usd": "1.1000001",
        "missing": [],
        "models": [
            {"integration_id": str(team), "label": "grok-4", "product": None, "model": "grok-4", "usd": "1.1"},
            {"integration_id": str(team), "label": "grok-5", "product": None, "model": "grok-5", "usd": "0.0000001"},
        ],
    }


async def test_an_empty_day_is_zero_and_an_unread_one_is_unknown(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    await ledger.record(team, {FIRST: {}})

    read, unread = await _days(http, FIRST, FIRST + timedelta(days=1))

    assert (read["covered"], read["usd"], read["missing"]) == (True, "0", [])
    assert (unread["covered"], unread["usd"], unread["missing"]) == (False, None, [str(team)])


async def test_a_day_read_before_its_end_is_not_covered(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    end = datetime(2026, 11, 2, tzinfo=UTC)
    await ledger.record(team, {FIRST: {"a": "1"}}, observed_at=end - timedelta(microseconds=1))
    (before,) = await _days(http, FIRST, FIRST)
    await ledger.record(team, {FIRST: {"a": "1"}}, observed_at=end)
    (after,) = await _days(http, FIRST, FIRST)

    assert (before["covered"], before["usd"], before["missing"]) == (False, "1", [str(team)])
    assert after["covered"] is True


async def test_today_is_covered_by_any_reading(ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID) -> None:
    await ledger.record(team, {TODAY: {"a": "1"}}, observed_at=later(-5))

    (day,) = await _days(http, TODAY, TODAY)

    assert (day["covered"], day["provisional"]) == (True, True)


async def test_days_before_and_after_an_integration_are_not_expected(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    removed_at = datetime(2026, 11, 3, 15, tzinfo=UTC)
    await ledger.add(team, **REMOVED | {"removed_at": removed_at})

    days = await _days(http, FIRST - timedelta(days=1), date(2026, 11, 4))

    assert [bool(day["missing"]) for day in days] == [False, True, True, False, False]
    assert not any(day["covered"] for day in days)


async def test_as_of_shows_what_was_known_then(ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID) -> None:
    for hours, usd in ((0, "1"), (1, "1"), (2, "2")):
        await ledger.record(team, {FIRST: {"a": usd}}, observed_at=later(hours))

    known = [
        (await _days(http, FIRST, FIRST, as_of=later(hours).isoformat()))[0]["usd"] for hours in (-1, 0, 1.5, 2, 9)
    ]

    assert known == [None, "1", "1", "2", "2"]


async def test_a_day_is_restated_once_what_was_reported_after_its_end_has_changed(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    in_the_day, after_it, late = (datetime(2026, 11, day, 12, tzinfo=UTC) for day in (1, 2, 3))
    for at, usd in ((in_the_day, "1"), (after_it, "2"), (late, "3")):
        await ledger.record(team, {FIRST: {"a": usd}}, observed_at=at)

    known = [
        (await _days(http, FIRST, FIRST, as_of=f"{at:%FT%TZ}"))[0]["restated"] for at in (in_the_day, after_it, late)
    ]

    assert known == [False, False, True]
    assert (await _days(http, FIRST, FIRST))[0]["restated"] is True


async def test_an_account_sees_its_own_figures_only(ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID) -> None:
    await ledger.record(team, {FIRST: {"a": "1"}})

    answer = await http.get("/v1/accounts/other/costs", params={"from": str(FIRST), "to": str(FIRST)})
    asked = await http.get("/v1/accounts/other/costs", params={"integration_id": str(team)})

    assert answer.json()["days"][0]["usd"] is None
    assert (asked.status_code, asked.json()["code"]) == (404, "not_found")


async def test_the_last_30_days_are_the_default(http: httpx.AsyncClient) -> None:
    days = (await http.get(f"/v1/accounts/{ACCOUNT}/costs")).json()["days"]

    assert [days[0]["day"], days[-1]["day"], len(days)] == ["2026-10-22", "2026-11-20", 30]


@pytest.mark.parametrize(
    "query",
    [{"from": "2026-11-02", "to": "2026-11-01"}, {"from": "2024-01-01", "to": "2026-01-01"}, {"from": "yesterday"}],
)
async def test_a_range_that_makes_no_sense_is_refused(http: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await http.get(f"/v1/accounts/{ACCOUNT}/costs", params=query)

    assert (answer.status_code, answer.json()["code"]) == (422, "request_malformed")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("", 401), ("bound", 404)])
async def test_a_token_that_is_not_accepted_sees_nothing(http: httpx.AsyncClient, token: str, status: int) -> None:
    answer = await http.get(f"/v1/accounts/{ACCOUNT}/costs", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == status


async def test_an_equal_reading_covered_the_day_from_then_on(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    in_the_day, after_it, settled, last = (datetime(2026, 11, 1 + number, 12, tzinfo=UTC) for number in (0, 1, 8, 9))
    for observed_at in (in_the_day, after_it, settled, last):
        reading = reading_of(team, {FIRST: {"grok-4": "1"}}, observed_at=observed_at)
        await ledger.receive(*reading.messages)

    known = [
        (await _days(http, FIRST, FIRST, as_of=str(moment).replace(" ", "T")))[0]
        for moment in (after_it - timedelta(hours=1), after_it + timedelta(hours=1), settled + timedelta(hours=1))
    ]

    assert [(day["usd"], day["covered"], day["provisional"]) for day in known] == [
        ("1", False, True),
        ("1", True, True),
        ("1", True, False),
    ]


async def test_an_instant_in_the_future_is_now(ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID) -> None:
    await ledger.record(team, {TODAY: {}}, observed_at=later(-1))

    (day,) = await _days(http, TODAY, TODAY, as_of="2026-12-31T00:00:00Z")

    assert day["covered"] is True


async def test_an_integration_that_was_removed_later_was_expected_then(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    await ledger.add(team, **REMOVED | {"removed_at": later(-1)})

    (now,) = await _days(http, TODAY, TODAY)
    (then,) = await _days(http, TODAY, TODAY, as_of="2026-11-20T10:59:59Z")

    assert (now["missing"], then["missing"]) == ([], [str(team)])


async def test_models_are_sorted_by_integration_and_label(ledger: LedgerHarness, http: httpx.AsyncClient) -> None:
    teams = [UUID(int=2), UUID(int=1)]
    for one in teams:
        await ledger.record(one, {FIRST: {"b": "1", "a": "2"}})

    (day,) = await _days(http, FIRST, FIRST)

    assert [(one["integration_id"], one["label"]) for one in day["models"]] == [
        (str(one), label) for one in sorted(teams) for label in ("a", "b")
    ]


@pytest.mark.parametrize("query", [{"to": "0001-01-01"}, {"from": "9999-12-31"}, {"as_of": "2026-11-01T00:00:00"}])
async def test_a_time_out_of_bounds_is_refused_with_its_field(http: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await http.get(f"/v1/accounts/{ACCOUNT}/costs", params=query)

    assert (answer.status_code, answer.json()["code"]) == (422, "request_malformed")
    assert answer.json()["errors"][0]["field"] == f"query.{next(iter(query))}"


async def test_a_questioned_reading_covers_no_day(ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID) -> None:
    in_the_day, after_it = (datetime(2026, 11, 1 + number, 12, tzinfo=UTC) for number in (0, 1))
    await ledger.receive(*reading_of(team, {FIRST: {"a": "1"}}, observed_at=in_the_day).messages)
    next_day = reading_of(team, {FIRST + timedelta(days=1): {"a": "1"}}, observed_at=after_it)
    window = next_day.window.model_copy(update={"first_day": FIRST, "questioned_days": (FIRST,)})
    await ledger.receive(*next_day.days, window)

    now, then = [
        (await _days(http, FIRST, FIRST, **at))[0] for at in ({}, {"as_of": f"{after_it + timedelta(hours=1):%FT%TZ}"})
    ]

    assert [(day["usd"], day["covered"]) for day in (now, then)] == [("1", False), ("1", False)]


async def test_the_costs_of_a_second_integration_of_a_team_are_not_the_accounts(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    second = uuid4()
    await ledger.add(second)
    for one in (team, second):
        await ledger.record(one, {FIRST: {"a": "1.5"}})
    assert (await _days(http, FIRST, FIRST))[0]["usd"] == "3"

    await ledger.add(second, version=2, status=Status.ERROR, status_code=Code.ALREADY_CONNECTED)

    (day,) = await _days(http, FIRST, FIRST)
    assert (day["usd"], day["covered"], len(day["models"])) == ("1.5", True, 1)
    assert (await _days(http, FIRST, FIRST, as_of=later(1).isoformat()))[0]["usd"] == "1.5"
    assert await ledger.sql("SELECT integration_id FROM daily_costs") == [(team,)]
    (named,) = await _days(http, FIRST, FIRST, integration_id=str(second))
    assert named["usd"] == "1.5"


async def test_a_second_integration_that_a_former_version_stored_is_left_out_once_announced_again(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    await ledger.record(team, {FIRST: {"a": "1.5"}})
    await ledger.add(team, version=2, status=Status.ERROR)

    await ledger.add(team, version=2, status=Status.ERROR, status_code=Code.ALREADY_CONNECTED)

    assert (await _days(http, FIRST, FIRST))[0]["usd"] is None


async def test_an_account_without_integrations_is_named_as_such(
    ledger: LedgerHarness, http: httpx.AsyncClient, team: UUID
) -> None:
    async def integrations(account_id: str, **query: str) -> int:
        answer = (await http.get(f"/v1/accounts/{account_id}/costs", params=query)).json()
        assert len(answer["days"]) == 30
        count: int = answer["integrations"]
        return count

    assert await integrations("nobody") == 0
    assert await integrations(ACCOUNT) == 1
    assert await integrations(ACCOUNT, as_of="2026-09-01T00:00:00Z") == 0
    await ledger.add(team, **REMOVED)
    assert await integrations(ACCOUNT) == 1
    await ledger.add(team, **ERASED | {"version": 3})
    assert await integrations(ACCOUNT) == 0


@pytest.mark.parametrize("query", ["form=2026-11-01", "from=2026-11-01&from=2026-11-02", "integration=all"])
async def test_a_parameter_that_is_unknown_or_given_twice_is_refused_by_name(
    http: httpx.AsyncClient, query: str
) -> None:
    answer = await http.get(f"/v1/accounts/{ACCOUNT}/costs?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, f"query.{query.partition('=')[0]}")
