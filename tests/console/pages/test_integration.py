"""The page of one integration: days, syncs, restated days, and every change of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from console.links import Right

from tests.console.pages.test_integrations import FAKE_KEY, REFUSED, a_sync
from tests.console.support.answers import INTEGRATION, a_card
from tests.console.support.browsing import Customer, FakeService

ACCOUNT = "/v1/accounts/acme"
PATH = f"{ACCOUNT}/integrations/{INTEGRATION}"
PAGE = f"/integrations/{INTEGRATION}"
TODAY = datetime.now(UTC).date()


def a_day_read(days_ago: int, **changes: Any) -> dict[str, Any]:
    read = {"integration_id": INTEGRATION, "covered": True, "usd": "1.5", "provisional": False, "restated": False}
    return {
        "day": str(TODAY - timedelta(days=days_ago)),
        "integrations": [read | {"reason": None, "why": None} | changes],
    }


@pytest.fixture
def acme(services: FakeService) -> FakeService:
    days = [a_day_read(days_ago) for days_ago in (2, 1, 0)]
    services.answers |= {
        PATH: a_card(),
        f"{PATH}/syncs": {"syncs": [a_sync()]},
        f"{PATH}/sync": {"request_id": "r1"},
        f"{ACCOUNT}/coverage": {"days": days},
        f"{ACCOUNT}/revisions": {"revisions": []},
    }
    return services


async def test_days_that_were_not_read_are_listed_with_the_reason(customer: Customer, acme: FakeService) -> None:
    why = "It has not been read yet."
    days = [a_day_read(1, covered=False, usd=None, reason="not_read", why=why), a_day_read(0)]
    acme.answers[f"{ACCOUNT}/coverage"] = {"days": days}
    customer.open_session()

    page = (await customer.get(PAGE)).text

    assert "1 day not read" in page
    assert why in page


async def test_days_before_the_first_that_is_expected_are_not_drawn(customer: Customer, acme: FakeService) -> None:
    before: dict[str, Any] = {"day": str(TODAY - timedelta(days=3)), "integrations": []}
    acme.answers[f"{ACCOUNT}/coverage"]["days"].insert(0, before)
    customer.open_session()

    assert before["day"] not in (await customer.get(PAGE)).text


async def test_a_restated_day_shows_what_it_was_before(customer: Customer, acme: FakeService) -> None:
    changed = {
        "usd": "1.25",
        "new_usd": "2.5",
        "valid_from": "2026-11-20T06:00:00Z",
        "valid_to": "2026-11-21T06:00:00Z",
    }
    acme.answers[f"{ACCOUNT}/revisions"] = {"revisions": [{"day": str(TODAY)} | changed]}
    customer.open_session()

    page = (await customer.get(PAGE)).text

    assert all(text in page for text in ("$1.25", "$2.50", f"/days/{TODAY}?integration={INTEGRATION}"))


async def test_a_sync_of_some_days_is_requested_and_its_outcome_is_shown(customer: Customer, acme: FakeService) -> None:
    token = customer.open_session()

    answer = await customer.post(f"{PAGE}/sync", form_token=token, first_day="2026-11-20", last_day="2026-11-20")
    page = await customer.get(answer.headers["location"])

    assert answer.headers["location"] == f"{PAGE}?sync=r1"
    assert b'"first_day":"2026-11-20"' in acme.asked[f"{PATH}/sync"][0].content
    assert "2 days changed" in page.text


@pytest.mark.usefixtures("acme")
async def test_a_sync_that_was_requested_among_all_cards_is_shown_there(customer: Customer) -> None:
    answer = await customer.post(f"{PAGE}/sync", form_token=customer.open_session(), back="integrations")

    assert answer.headers["location"] == f"/integrations?synced={INTEGRATION}&sync=r1#card-{INTEGRATION}"


@pytest.mark.parametrize(
    ("form", "fields", "request_line", "done"),
    [
        ("label", {"label": " Research "}, f"PATCH {PATH}", "renamed"),
        ("credential", {"management_key": FAKE_KEY}, f"PUT {PATH}/credential", "replaced"),
    ],
)
async def test_a_change_is_made_and_confirmed(
    customer: Customer, acme: FakeService, form: str, fields: dict[str, str], request_line: str, done: str
) -> None:
    acme.answers[request_line] = a_card()

    answer = await customer.post(f"{PAGE}/{form}", form_token=customer.open_session(), **fields)

    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?done={done}")
    method, path = request_line.split()
    assert method in {request.method for request in acme.asked[path]}


async def test_a_key_that_is_refused_names_the_cause_and_is_not_in_the_page(
    customer: Customer, acme: FakeService
) -> None:
    acme.problem(f"PUT {PATH}/credential", 422, **REFUSED)

    page = await customer.post(f"{PAGE}/credential", form_token=customer.open_session(), management_key=FAKE_KEY)

    assert page.status_code == 422
    assert REFUSED["title"] in page.text
    assert FAKE_KEY not in page.text


@pytest.mark.parametrize(("history", "done"), [("keep", "removed"), ("erase", "erased")])
async def test_an_integration_is_removed_once_its_label_was_typed(
    customer: Customer, acme: FakeService, history: str, done: str
) -> None:
    token = customer.open_session()

    mistyped = await customer.post(f"{PAGE}/remove", form_token=token, history=history, confirmation="Reserach")
    removed = await customer.post(f"{PAGE}/remove", form_token=token, history=history, confirmation="Research")

    assert mistyped.status_code == 422
    assert "Nothing was removed" in mistyped.text
    assert removed.headers["location"] == f"/integrations?done={done}"
    sent = [request.url.params for request in acme.asked[PATH] if request.method == "DELETE"]
    assert [one["history"] for one in sent] == [history]


@pytest.mark.parametrize("form", ["sync", "label", "credential", "remove"])
async def test_somebody_who_may_only_look_changes_nothing(customer: Customer, acme: FakeService, form: str) -> None:
    token = customer.open_session(right=Right.VIEW)

    refused = await customer.post(f"{PAGE}/{form}", form_token=token, label="Mine", confirmation="Research")

    assert refused.status_code == 403
    assert not acme.asked


async def test_an_integration_of_nobody_is_not_there(customer: Customer) -> None:
    customer.open_session()

    assert (await customer.get(PAGE)).status_code == 404
