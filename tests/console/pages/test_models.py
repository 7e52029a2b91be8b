"""The breakdown: a row a model, its labels below it, in any order, and the sum as the ledger has it."""

import re

import httpx
import pytest

from tests.console.support.answers import an_account, summary
from tests.console.support.browsing import Customer, FakeService

BREAKDOWN = "/v1/accounts/acme/breakdown"
MODELS = [
    {
        "model": "grok-4",
        "usd": "10.0000000001",
        "share": 0.8,
        "days": 3,
        "change": -0.1,
        "daily": ["4", "0", "6.0000000001"],
    },
    {
        "model": "grok-<b>3",
        "usd": "2.3456789011",
        "share": 0.2,
        "days": 2,
        "change": None,
        "daily": ["0", "0", "2.3456789011"],
    },
]
LABELS = [
    {"label": "Chat grok-4", "model": "grok-4", "usd": "6.0000000001", "share": 0.5, "days": 3, "change": 0.1},
    {"label": "API grok-4", "model": "grok-4", "usd": "4", "share": 0.3, "days": 3, "change": 0.1},
    {"label": "grok-<b>3", "model": "grok-<b>3", "usd": "2.3456789011", "share": 0.2, "days": 2, "change": None},
]


@pytest.fixture
def account(customer: Customer, services: FakeService) -> FakeService:
    period = {name: value for name, value in summary().items() if name in {"from", "to", "usd", "previous"}}
    services.answers |= an_account() | {
        f"{BREAKDOWN}?by=model": period | {"missing_days": ["2026-11-03"], "rows": MODELS},
        f"{BREAKDOWN}?by=label": period | {"missing_days": ["2026-11-03"], "rows": LABELS},
    }
    customer.open_session()
    return services


def names(answer: httpx.Response) -> list[str]:
    return re.findall(r'<th scope="row">\s*(?:<details[^>]*>\s*<summary>)?<bdi>(.*?)</bdi>', answer.text)


async def test_rows_have_the_ledgers_figures_and_sum_to_its_total(customer: Customer, account: FakeService) -> None:
    text = (await customer.get("/models")).text

    assert account.asked[BREAKDOWN]
    assert "12.3456789012 USD" in text
    assert ['title="10.0000000001 USD">$10.00' in text, "80.0%" in text, "−10.0%" in text] == [True] * 3
    assert "grok-&lt;b&gt;3" in text
    assert "<b>3" not in text


@pytest.mark.usefixtures("account")
async def test_each_row_has_its_days_as_a_line(customer: Customer) -> None:
    text = (await customer.get("/models")).text
    lines = re.findall(r'aria-label="(.*?) by day" viewBox="0 0 (\d+) .*?>(.*?)</svg>', text)

    assert [(name, days, line.count("<rect")) for name, days, line in lines] == [
        ("grok-4", "3", 2),
        ("grok-&lt;b&gt;3", "3", 1),
    ]


@pytest.mark.usefixtures("account")
async def test_labels_of_one_model_are_folded_below_it(customer: Customer) -> None:
    text = (await customer.get("/models")).text
    folded = re.findall(r"<summary><bdi>(.*?)</bdi>.*?</details>", text, re.DOTALL)

    assert folded == ["grok-4"]
    assert text.index("Chat grok-4") < text.index("API grok-4") < text.index("</details>")


@pytest.mark.usefixtures("account")
async def test_any_column_sorts_by_a_link_and_shows_it(customer: Customer) -> None:
    first = await customer.get("/models")
    by_name = await customer.get("/models?sort=-model")

    assert re.findall(r'aria-sort="(\w+)"><a id="sort-(\w+)"', first.text) == [("descending", "usd")]
    assert names(first) == ["grok-4", "grok-&lt;b&gt;3"]
    assert names(by_name) == ["grok-&lt;b&gt;3", "grok-4"]
    assert 'aria-sort="descending"><a id="sort-model" href="/models?sort=model"' in by_name.text
    assert names(await customer.get("/models?sort=-change")) == ["grok-4", "grok-&lt;b&gt;3"]
    assert names(await customer.get("/models?sort=nonsense")) == names(first)
    assert 'href="/models?period=7d&amp;sort=-days"' in (await customer.get("/models?period=7d")).text


@pytest.mark.usefixtures("account")
async def test_days_that_were_not_read_are_named(customer: Customer) -> None:
    text = (await customer.get("/models")).text

    assert "1 of these days is not read completely" in text
    assert '<a href="/days/2026-11-03">Nov 3</a>' in text


async def test_a_period_without_a_cost_and_one_without_a_reading_are_two_things(
    customer: Customer, account: FakeService
) -> None:
    for usd, sentence in (("0", "No cost in this period"), (None, "Nothing is known of this period")):
        for by in ("model", "label"):
            account.answers[f"{BREAKDOWN}?by={by}"] |= {"rows": [], "usd": usd}
        assert sentence in (await customer.get("/models")).text
