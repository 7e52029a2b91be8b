"""What a customer sees and downloads is what the ledger has, to the last digit."""

import csv
import io
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from contract.money import plain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.console.support.browsing import Customer, FakeService, open_console
from tests.ledger.support.ledger import LedgerHarness
from tests.ledger.support.random_accounts import ACCOUNTS, ago, fill
from tests.support.messages import ACCOUNT

TOTAL = re.compile(r'<dt>Total</dt>\s*<dd class="figure" title="([^"]*)"')
EXACT = re.compile(r'<td class="number" title="([^"]*)"')
BODY = re.compile(r"<tbody>(.*?)</tbody>", re.DOTALL)
FOOT = re.compile(r"<tfoot>(.*?)</tfoot>", re.DOTALL)


@pytest.fixture
def customer(http: httpx.AsyncClient, tmp_path: Path) -> Customer:
    """With a session of the account, before a connector without cards."""
    connector = FakeService()
    connector.answers[f"/v1/accounts/{ACCOUNT}/integrations"] = {"integrations": []}
    customer = open_console(connector.client(), http, tmp_path)
    customer.open_session(ACCOUNT)
    return customer


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(account=ACCOUNTS, days=st.integers(1, 20), end=st.integers(0, 20))
async def test_cards_table_models_and_file_of_the_console_have_one_sum_to_the_last_digit(
    ledger: LedgerHarness, http: httpx.AsyncClient, customer: Customer, account: Any, days: int, end: int
) -> None:
    await fill(ledger, account)
    span = {"from": str(ago(end + days - 1)), "to": str(ago(end))}
    answer = (await http.get(f"/v1/accounts/{ACCOUNT}/costs", params=span)).json()
    of_days = [one["usd"] for one in answer["days"]]
    usd = None if set(of_days) == {None} else _sum(one for one in of_days if one is not None)

    page = await _page(customer, "/", span)
    if not answer["integrations"]:
        assert "No team is connected yet" in page
        return
    (total,) = TOTAL.findall(page)
    (table,) = BODY.findall(page)
    rows = [EXACT.findall(row) for row in table.split("<tr>")[1:]]

    assert total == _shown(usd)
    assert [row[0] for row in rows] == [_shown(one) for one in reversed(of_days)]
    assert [_sum(_amounts(row[1:])) for row in rows] == [one or "0" for one in reversed(of_days)]

    models = await _page(customer, "/models", span)
    if table := "".join(BODY.findall(models)):
        assert (_sum(_amounts(EXACT.findall(table))), EXACT.findall("".join(FOOT.findall(models)))) == (
            usd,
            [_shown(usd)],
        )
    else:
        assert usd in {None, "0"}

    file = csv.DictReader(io.StringIO(await _page(customer, "/export/csv", span), newline=""))
    assert _sum(row["usd"] for row in file) == (usd or "0")


async def _page(customer: Customer, path: str, span: dict[str, str]) -> str:
    answer = await customer.get(f"{path}?{urlencode(span)}")
    assert answer.status_code == 200, answer.text
    return answer.text


def _shown(usd: str | None) -> str:
    return "–" if usd is None else f"{Decimal(usd):f} USD"


def _amounts(shown: Iterable[str]) -> list[str]:
    return [one.removesuffix(" USD") for one in shown]


def _sum(amounts: Iterable[str]) -> str:
    return plain(sum(map(Decimal, amounts), Decimal(0)))
