"""The ledger's reports over HTTP."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from contract.messages import Cost
from contract.money import plain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ledger.support.ledger import ERASED, NOON, OTHER_ACCOUNT, LedgerHarness, later
from tests.ledger.support.random_accounts import ACCOUNTS, TODAY, add, ago, fill
from tests.support.messages import ACCOUNT, cost_recorded

WEEK = {"period": "7d"}


async def _get(http: httpx.AsyncClient, report: str, query: Mapping[str, str]) -> dict[str, Any]:
    answer = await http.get(f"/v1/accounts/{ACCOUNT}/{report}", params=query)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


async def _weeks(ledger: LedgerHarness, team: UUID, now: str, before: str) -> None:
    """Thirteen days: `now` a day in the last seven, `before` a day in the six before them."""
    costs = {ago(number): {"grok-4": now if number < 7 else before} for number in range(13)}
    await ledger.record(team, costs)


async def test_a_week_is_summed_up(ledger: LedgerHarness, http: httpx.AsyncClient) -> None:
    await _weeks(ledger, await add(ledger), now="3", before="2")

    assert await _get(http, "summary", WEEK) == {
        "currency": "USD",
        "from": "2026-11-14",
        "to": "2026-11-20",
        "usd": "21",
        "missing_days": [],
        "previous": {"from": "2026-11-08", "to": "2026-11-13", "usd": "12", "change": 0.5, "why": None},
        "daily_average_usd": "3",
        "covered_days": 6,
        "top_model": {"model": "grok-4", "usd": "21"},
        "data_as_of": "2026-11-20T12:00:00.000000Z",
        "provisional_from": "2026-11-14",
    }


async def test_an_account_without_costs_has_no_sum(http: httpx.AsyncClient) -> None:
    summary = await _get(http, "summary", {})

    assert (summary["from"], summary["to"]) == ("2026-10-22", "2026-11-20")
    for name in ("usd", "daily_average_usd", "top_model", "data_as_of", "provisional_from"):
        assert summary[name] is None
    assert summary["covered_days"] == 0
    assert summary["previous"]["change"] is None


async def test_a_day_that_was_not_read_is_in_no_average_and_is_named(
    ledger: LedgerHarness, http: httpx.AsyncClient
) -> None:
    team = await add(ledger)
    await ledger.record(team, {ago(number): {"grok-4": "2"} for number in range(13) if number != 3})

    summary = await _get(http, "summary", WEEK)

    assert (summary["usd"], summary["daily_average_usd"], summary["covered_days"]) == ("12", "2", 5)
    assert summary["missing_days"] == [str(ago(3))]
    assert summary["previous"]["change"] is None
    assert summary["previous"]["why"] == "1 day of this period was not read."


async def test_labels_that_name_one_model_are_one_row(ledger: LedgerHarness, http: httpx.AsyncClient) -> None:
    team = await add(ledger)
    names = {"API grok-4": "1.5", "Chat grok-4": "0.25", "Chat grok-5": "1"}
    costs = tuple(
        Cost(label=label, product=label.split()[0], model=label.split()[1], usd=Decimal(usd))
        for label, usd in names.items()
    )
    plain_labels = cost_recorded(team, names, day=ago(1), observed_at=NOON)
    await ledger.receive(plain_labels.model_copy(update={"costs": costs}))

    async def rows(by: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in (await _get(http, "breakdown", WEEK | {"by": by}))["rows"]]

    assert await rows("model") == [("grok-4", "1.75", 0.6364, 1, None), ("grok-5", "1", 0.3636, 1, None)]
    assert [row[:3] for row in await rows("label")] == [
        ("grok-4", "API grok-4", "1.5"),
        ("grok-5", "Chat grok-5", "1"),
        ("grok-4", "Chat grok-4", "0.25"),
    ]
    assert [row[:2] for row in await rows("product")] == [("API", "1.5"), ("Chat", "1.25")]
    assert [row[:2] for row in await rows("integration")] == [(str(team), "2.75")]
    assert (await _get(http, "summary", WEEK))["top_model"] == {"model": "grok-4", "usd": "1.75"}


async def test_labels_without_a_product_are_one_row_of_null(ledger: LedgerHarness, http: httpx.AsyncClient) -> None:
    await ledger.record(await add(ledger), {ago(1): {"Storage": "1"}})

    (row,) = (await _get(http, "breakdown", WEEK | {"by": "product"}))["rows"]

    assert row["product"] is None
    assert "model" not in row


async def test_a_row_has_its_change_and_the_days_on_which_it_cost_something(
    ledger: LedgerHarness, http: httpx.AsyncClient
) -> None:
    team = await add(ledger)
    costs = {ago(number): {"old": "1"} if number >= 7 else {"new": "1", "old": "2"} for number in range(13)}
    await ledger.record(team, costs | {ago(2): {"old": "2"}})

    breakdown = await _get(http, "breakdown", WEEK)
    rows = breakdown["rows"]

    assert breakdown["currency"] == "USD"
    assert [(row["model"], row["days"], row["change"]) for row in rows] == [("old", 7, 1.0), ("new", 6, None)]


@pytest.mark.parametrize(
    ("compare", "first"), [("previous", "2026-11-08"), ("week", "2026-11-07"), ("year", "2025-11-14")]
)
async def test_a_period_is_compared_with_the_requested_span(http: httpx.AsyncClient, compare: str, first: str) -> None:
    assert (await _get(http, "summary", WEEK | {"compare": compare}))["previous"]["from"] == first


async def test_an_integration_is_reported_alone_and_a_duplicate_only_where_it_is_named(
    ledger: LedgerHarness, http: httpx.AsyncClient
) -> None:
    one = await add(ledger)
    other = await add(ledger, status="error", status_code="already_connected")
    await ledger.record(one, {ago(1): {"a": "1"}})
    await ledger.record(other, {ago(1): {"a": "5"}})

    assert (await _get(http, "summary", WEEK))["usd"] == "1"
    assert (await _get(http, "summary", WEEK | {"integration_id": str(one)}))["usd"] == "1"
    assert (await _get(http, "summary", WEEK | {"integration_id": str(other)}))["usd"] == "5"


async def test_data_are_as_new_as_the_reading_of_the_integration_that_is_behind(
    ledger: LedgerHarness, http: httpx.AsyncClient
) -> None:
    for hours in (-5, -1):
        await ledger.record(await add(ledger), {ago(1): {"a": "1"}}, observed_at=later(hours))

    assert (await _get(http, "summary", WEEK))["data_as_of"] == "2026-11-20T07:00:00.000000Z"


@pytest.mark.parametrize("report", ["summary", "breakdown"])
async def test_another_accounts_integration_is_unknown(
    ledger: LedgerHarness, http: httpx.AsyncClient, report: str
) -> None:
    team = await add(ledger, account_id=OTHER_ACCOUNT)

    answer = await http.get(f"/v1/accounts/{ACCOUNT}/{report}", params={"integration_id": str(team)})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-11-01"},
        {"to": "2026-11-01"},
        {"from": "2026-11-02", "to": "2026-11-01"},
        {"from": "2026-11-01", "to": "2026-11-02", "period": "7d"},
        {"from": "2020-01-01", "to": "2026-11-02"},
        {"period": "8d"},
        {"by": "team"},
        {"compare": "month"},
        {"form": "2026-11-01"},
    ],
)
async def test_a_period_that_is_none_is_refused(http: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await http.get(f"/v1/accounts/{ACCOUNT}/breakdown", params=query)

    assert (answer.status_code, answer.json()["code"]) == (422, "request_malformed")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(account=ACCOUNTS, days=st.integers(1, 20), end=st.integers(0, 20))
async def test_reports_agree_with_the_costs_of_each_day_to_the_last_digit(
    ledger: LedgerHarness, http: httpx.AsyncClient, account: Any, days: int, end: int
) -> None:
    await fill(ledger, account)
    span = {"from": str(ago(end + days - 1)), "to": str(ago(end))}

    shown = (await _get(http, "costs", span))["days"]
    summary = await _get(http, "summary", span)

    amounts = [Decimal(one["usd"]) for one in shown if one["usd"] is not None]
    assert summary["usd"] == (plain(sum(amounts, Decimal(0))) if amounts else None)
    assert summary["missing_days"] == [one["day"] for one in shown if not one["covered"]]
    assert summary["covered_days"] == sum(one["covered"] for one in shown if one["day"] < str(TODAY))
    assert summary["provisional_from"] == next((one["day"] for one in shown if one["provisional"]), None)
    for by in ("model", "label", "product", "integration"):
        breakdown = await _get(http, "breakdown", span | {"by": by, "daily": "true"})
        assert [row["usd"] for row in breakdown["rows"]] == [_sum(row["daily"]) for row in breakdown["rows"]]
        of_days = zip(*(row["daily"] for row in breakdown["rows"]), strict=True)
        assert [_sum(day) for day in of_days] == [one["usd"] or "0" for one in shown if breakdown["rows"]]
        assert plain(sum((Decimal(row["usd"]) for row in breakdown["rows"]), Decimal(0))) == (summary["usd"] or "0")
        assert {name: breakdown[name] for name in ("usd", "missing_days", "previous")} == {
            name: summary[name] for name in ("usd", "missing_days", "previous")
        }


def _sum(amounts: Iterable[str]) -> str:
    return plain(sum(map(Decimal, amounts), Decimal(0)))


async def test_an_erased_history_is_in_no_report(ledger: LedgerHarness, http: httpx.AsyncClient) -> None:
    team = await add(ledger)
    await ledger.record(team, {ago(1): {"a": "1"}})
    await ledger.add(team, **ERASED)

    assert (await _get(http, "summary", WEEK))["usd"] is None
    assert (await _get(http, "breakdown", WEEK))["rows"] == []


@pytest.mark.parametrize("report", ["summary", "breakdown"])
async def test_a_screen_that_asks_again_gets_nothing_until_a_figure_changes(
    ledger: LedgerHarness, http: httpx.AsyncClient, report: str
) -> None:
    team = await add(ledger)
    await ledger.record(team, {ago(8): {"a": "1"}, ago(1): {"a": "1"}}, observed_at=later(-1))
    path = f"/v1/accounts/{ACCOUNT}/{report}"

    async def again(answer: httpx.Response) -> httpx.Response:
        return await http.get(path, params=WEEK, headers={"If-None-Match": answer.headers["ETag"]})

    first = await http.get(path, params=WEEK)
    unchanged = await again(first)
    await ledger.record(team, {ago(8): {"a": "2"}})
    changed = await again(first)

    assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert (changed.status_code, changed.json()["previous"]["usd"]) == (200, "2")
    assert changed.headers["ETag"] != first.headers["ETag"]
