"""Exports: the ledger's own files, passed on piece by piece, and their sum on the page is the card's."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.console.support.answers import an_account
from tests.console.support.browsing import Customer, FakeService

PATH = "/v1/accounts/acme/export"


@pytest.fixture
def account(customer: Customer, services: FakeService) -> FakeService:
    services.answers |= an_account()
    customer.open_session()
    return services


class Pieces(httpx.AsyncByteStream):
    """A body that notes whether it was closed."""

    closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"day,usd\n"
        yield b"2026-11-03,1\n"

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.usefixtures("account")
async def test_the_page_has_the_sum_of_the_card_and_a_link_to_each_format(customer: Customer) -> None:
    text = (await customer.get("/export?period=7d")).text

    assert "12.3456789012 USD" in text
    formats = ("csv", "json", "ndjson", "focus", "focus-1.2", "coverage")
    assert [name for name in formats if f'href="/export/{name}?period=7d"' not in text] == []


async def test_a_file_is_the_ledgers_with_its_name_and_the_days_it_lacks(
    customer: Customer, account: FakeService
) -> None:
    pieces = Pieces()
    headers = {
        "Content-Type": "text/csv; charset=utf-8; header=present",
        "Content-Disposition": 'attachment; filename="costs.csv"',
        "Grafient-Missing-Days": "2026-11-04",
        "X-Internal": "stays here",
    }
    account.answers[PATH] = httpx.Response(200, headers=headers, stream=pieces)
    answer = await customer.get("/export/focus-1.2?from=2026-11-03&to=2026-11-04")

    assert answer.text == "day,usd\n2026-11-03,1\n"
    assert {name: answer.headers[name] for name in list(headers)[:3]} == dict(list(headers.items())[:3])
    assert "x-internal" not in answer.headers
    asked = dict(account.asked[PATH][0].url.params)
    assert asked == {"from": "2026-11-03", "to": "2026-11-04", "format": "focus", "profile": "1.2"}
    assert pieces.closed


async def test_a_refusal_is_a_page_with_the_ledgers_sentence(customer: Customer, account: FakeService) -> None:
    sentence = "An export of this account is running with this token: wait for its end."
    account.problem(PATH, 429, code="too_many_requests", title="Too many requests", detail=sentence)
    answer = await customer.get("/export/csv")

    assert answer.status_code == 429
    assert sentence in answer.text


@pytest.mark.usefixtures("account")
async def test_an_unknown_format_is_no_page(customer: Customer) -> None:
    assert (await customer.get("/export/exe")).status_code == 404
