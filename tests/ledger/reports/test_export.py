"""The ledger's exports: the figures that are on screen, in every format."""

import asyncio
import csv
import io
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx
import pytest
from contract.money import plain
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.reports.columns import Format, Profile, focus_columns
from ledger.reports.export import MISSING_DAYS
from starlette.types import Receive

from tests.ledger.support.ledger import LedgerHarness, later
from tests.ledger.support.random_accounts import ACCOUNTS, add, ago, fill
from tests.support.messages import ACCOUNT

WEEK = {"period": "7d"}
MIDNIGHT = re.compile(r"\d{4}-\d{2}-\d{2}T00:00:00Z", re.ASCII)
AMOUNT = re.compile(r"-?\d+\.\d+", re.ASCII)


async def _export(http: httpx.AsyncClient, **query: str) -> httpx.Response:
    answer = await http.get(f"/v1/accounts/{ACCOUNT}/export", params=WEEK | query if "from" not in query else query)
    assert answer.status_code == 200, answer.text
    return answer


def _cells(answer: httpx.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def _rows(http: httpx.AsyncClient, kind: Format, span: Mapping[str, str]) -> list[tuple[str, str, Decimal]]:
    """Day, label and amount of each row."""
    answer = await _export(http, format=kind, **span)
    if kind is Format.FOCUS:
        rows = [(one["ChargePeriodStart"][:10], one["ChargeDescription"], one["BilledCost"]) for one in _cells(answer)]
    elif kind is Format.CSV:
        rows = [(one["day"], one["label"].removeprefix("'"), one["usd"]) for one in _cells(answer)]
    else:
        lines = answer.text.splitlines() if kind is Format.NDJSON else []
        costs = [json.loads(line) for line in lines] if kind is Format.NDJSON else answer.json()["costs"]
        rows = [(one["day"], one["label"], one["usd"]) for one in costs]
    return [(day, label, Decimal(usd)) for day, label, usd in rows]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(account=ACCOUNTS, days=st.integers(1, 6), end=st.integers(0, 20))
async def test_every_format_has_the_rows_that_are_on_screen_to_the_last_digit(
    ledger: LedgerHarness, http: httpx.AsyncClient, account: Any, days: int, end: int
) -> None:
    await fill(ledger, account)
    span = {"from": str(ago(end + days - 1)), "to": str(ago(end))}
    shown = (await http.get(f"/v1/accounts/{ACCOUNT}/costs", params=span)).json()["days"]
    expected = sorted((day["day"], one["label"], Decimal(one["usd"])) for day in shown for one in day["models"])

    for kind in Format:
        assert sorted(await _rows(http, kind, span)) == expected

    answer = await _export(http, format="json", **span)
    assert answer.json()["usd"] == plain(sum((usd for _, _, usd in expected), Decimal(0)))
    assert answer.json()["missing_days"] == [day["day"] for day in shown if not day["covered"]]
    assert answer.headers[MISSING_DAYS] == ", ".join(answer.json()["missing_days"])


async def test_a_cell_is_never_a_formula(ledger: LedgerHarness, http: httpx.AsyncClient) -> None:
    labels = ["=1+2", "+1", "-1", "@a", "\t=1", "\r=1", "a=1"]
    await ledger.record(await add(ledger, label="=cmd"), {ago(1): dict.fromkeys(labels, "-1")})

    cells = _cells(await _export(http, format="csv"))

    assert sorted(one["label"] for one in cells) == sorted(["'=1+2", "'+1", "'-1", "'@a", "'\t=1", "'\r=1", "a=1"])
    assert {one["integration"] for one in cells} == {"'=cmd"}
    assert {one["usd"] for one in cells} == {"-1"}


async def test_focus_has_the_label_as_xai_wrote_it(ledger: LedgerHarness, http: httpx.AsyncClient) -> None:
    team = await add(ledger, label="Research", team_id="3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f")
    await ledger.record(team, {ago(1): {"=1+2": "12"}}, observed_at=later(-30))
    await ledger.record(team, {ago(1): {"=1+2": "12.5"}})

    (row,) = _cells(await _export(http, format="focus"))

    assert row == {
        "BilledCost": "12.5",
        "BillingAccountId": "3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f",
        "BillingAccountName": "Research",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": "2026-12-01T00:00:00Z",
        "BillingPeriodStart": "2026-11-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": "=1+2",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": "2026-11-20T00:00:00Z",
        "ChargePeriodStart": "2026-11-19T00:00:00Z",
        "ContractedCost": "12.5",
        "EffectiveCost": "12.5",
        "HostProviderName": "xAI",
        "InvoiceIssuerName": "xAI",
        "ListCost": "12.5",
        "PricingQuantity": "",
        "PricingUnit": "",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "xAI API",
        "ServiceProviderName": "xAI",
        "ServiceSubcategory": "Generative AI",
        "x_IntegrationId": str(team),
        "x_Model": "=1+2",
        "x_ObservedAt": "2026-11-20T12:00:00.000000Z",
        "x_Provisional": "true",
        "x_Reconciled": "false",
        "x_Revision": "1",
    }


@pytest.mark.parametrize("profile", Profile)
async def test_focus_has_the_columns_of_its_version_and_amounts_with_a_point(
    ledger: LedgerHarness, http: httpx.AsyncClient, profile: Profile
) -> None:
    await ledger.record(await add(ledger), {ago(1): {"a": "12", "b": "-0.0000000001"}})

    answer = await _export(http, format="focus", profile=profile)

    assert answer.text.splitlines()[0].split(",") == list(focus_columns(profile))
    for row in _cells(answer):
        assert all(AMOUNT.fullmatch(row[name]) for name in row if name.endswith("Cost"))
        assert all(MIDNIGHT.fullmatch(row[name]) for name in row if name.endswith(("PeriodStart", "PeriodEnd")))
    assert ("ProviderName" in focus_columns(profile)) is (profile is Profile.V1_2)
    assert '""' not in answer.text


async def test_a_reconciled_reading_is_marked(ledger: LedgerHarness, http: httpx.AsyncClient) -> None:
    team = await add(ledger)
    reading = await ledger.record(team, {ago(1): {"a": "1"}})
    await ledger.receive(reading.window)

    (row,) = _cells(await _export(http, format="focus"))

    assert row["x_Reconciled"] == "true"


async def test_the_file_of_coverage_lists_every_expected_day(ledger: LedgerHarness, http: httpx.AsyncClient) -> None:
    team = await add(ledger, first=2)
    await ledger.record(team, {ago(1): {}})

    answer = await _export(http, file="coverage")

    assert _cells(answer) == [
        _coverage("2026-11-18", str(team), "false", ""),
        _coverage("2026-11-19", str(team), "true", "2026-11-20T12:00:00.000000Z"),
        _coverage("2026-11-20", str(team), "false", ""),
    ]
    assert 'filename="coverage-2026-11-14-2026-11-20.csv"' in answer.headers["content-disposition"]
    focus = _cells(await _export(http, file="coverage", format="focus"))
    assert focus[0]["ChargePeriodStart"] == "2026-11-18T00:00:00Z"


def _coverage(day: str, team: str, covered: str, observed_at: str) -> dict[str, str]:
    return {"day": day, "integration_id": team, "covered": covered, "observed_at": observed_at}


async def test_an_account_without_costs_has_a_heading_only(http: httpx.AsyncClient) -> None:
    assert (
        await _export(http)
    ).text == "day,integration_id,integration,label,product,model,usd,provisional,observed_at\n"
    assert (await _export(http, format="json")).json()["costs"] == []
    assert (await _export(http, format="ndjson")).text == ""


async def test_a_token_has_one_export_of_an_account_at_a_time(
    ledger: LedgerHarness, app: FastAPI, http: httpx.AsyncClient
) -> None:
    await ledger.record(await add(ledger), {ago(1): {"a": "1"}})
    path, began, read_on = f"/v1/accounts/{ACCOUNT}/export", asyncio.Event(), asyncio.Event()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def slow(_message: Any) -> None:
        began.set()
        await read_on.wait()

    authorization = (b"authorization", http.headers["Authorization"].encode())
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [authorization]}
    export = asyncio.create_task(app(scope, replay_body(receive), slow))
    await began.wait()
    refused, another = await http.get(path), await http.get("/v1/accounts/another/export")
    read_on.set()
    await export

    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (
        429,
        "too_many_requests",
        "5",
    )
    assert another.status_code == 200
    await _export(http)


def replay_body(rest: Receive) -> Receive:
    """No body, then what `rest` receives."""
    first = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return first.pop() if first else await rest()

    return receive
