"""The page of all integrations: cards, Force Sync and its outcome, Test Connection and Add."""

from typing import Any

import pytest
from console.links import Right

from tests.console.support.answers import INTEGRATION, a_card
from tests.console.support.browsing import Customer, FakeService

PATH = "/v1/accounts/acme/integrations"
FAKE_KEY = "obviously-fake-management-key"
TEAM = "3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"
ENTERED = {"team_id": TEAM, "management_key": FAKE_KEY, "label": "Research"}
REFUSED: dict[str, Any] = {
    "code": "key_refused",
    "title": "xAI does not accept this key",
    "detail": "It was revoked.",
    "hints": ["Swap?"],
}


@pytest.fixture
def acme(services: FakeService) -> FakeService:
    services.answers[PATH] = {"integrations": [a_card()]}
    return services


def a_sync(**changes: Any) -> dict[str, Any]:
    line: dict[str, Any] = {
        "trigger": "force",
        "request_ids": ["r1"],
        "first_day": "2026-11-21",
        "last_day": "2026-11-28",
        "usd": "1.5",
    }
    line |= {"days_changed": 2, "reconciled": True, "code": None, "detail": None, "final": True}
    return line | {"next_attempt_at": None, "at": "2026-11-28T06:00:01Z"} | changes


async def test_a_card_shows_how_the_integration_is_and_what_to_do_next(customer: Customer, acme: FakeService) -> None:
    detail = "Create a Management API key."
    broken = a_card(status="error", status_text="xAI does not accept this key", status_detail=detail, next_sync=None)
    acme.answers[PATH] = {"integrations": [broken]}
    customer.open_session()

    page = (await customer.get("/integrations")).text

    assert all(text in page for text in ("xAI does not accept this key", detail, "None until the problem is solved"))


@pytest.mark.usefixtures("acme")
async def test_the_last_sync_is_written_as_all_amounts_are(customer: Customer) -> None:
    customer.open_session()

    text = (await customer.get("/integrations")).text

    assert '<span title="182.2236178328 USD">$182.22</span>, Sat, Nov 21, 2026 – Sat, Nov 28, 2026' in text


async def test_a_key_that_was_pasted_as_a_team_id_is_not_in_the_page(customer: Customer, acme: FakeService) -> None:
    acme.answers[f"{PATH}/test"] = {"ok": False} | REFUSED

    entered = ENTERED | {"team_id": FAKE_KEY}
    page = await customer.post("/integrations/test", form_token=customer.open_session(), **entered)

    assert REFUSED["title"] in page.text
    assert FAKE_KEY not in page.text


async def test_a_history_that_is_filled_in_shows_its_progress(customer: Customer, acme: FakeService) -> None:
    acme.answers[PATH] = {
        "integrations": [a_card(status="backfilling", backfill={"days_expected": 90, "days_read": 30})]
    }
    customer.open_session()

    assert '<progress max="90" value="30"' in (await customer.get("/integrations")).text


async def test_a_label_is_text_whatever_it_contains(customer: Customer, acme: FakeService) -> None:
    acme.answers[PATH] = {"integrations": [a_card(label="<script>alert(1)</script>")]}
    customer.open_session()

    assert "<script>alert" not in (await customer.get("/integrations")).text


async def test_somebody_who_may_only_look_sees_no_form_and_can_send_none(customer: Customer, acme: FakeService) -> None:
    token = customer.open_session(right=Right.VIEW)

    page = await customer.get("/integrations")
    refused = await customer.post("/integrations", form_token=token, **ENTERED)

    assert "/integrations/test" not in page.text
    assert "Force Sync" not in page.text
    assert refused.status_code == 403
    assert "lets you look" in refused.text
    assert "POST" not in {request.method for request in acme.asked[PATH]}


async def test_a_form_of_another_site_changes_nothing(customer: Customer, acme: FakeService) -> None:
    customer.open_session()

    refused = await customer.post("/integrations", form_token="x" * 32, **ENTERED)

    assert refused.status_code == 403
    assert "POST" not in {request.method for request in acme.asked[PATH]}


async def test_a_connection_that_works_has_a_check_mark_and_the_key_is_not_in_the_page(
    customer: Customer, acme: FakeService
) -> None:
    acme.answers[f"{PATH}/test"] = {"ok": True, "title": "The connection works", "detail": "No use."}

    page = await customer.post("/integrations/test", form_token=customer.open_session(), **ENTERED)

    assert page.status_code == 200
    assert "✓ The connection works" in page.text
    assert TEAM in page.text
    assert FAKE_KEY not in page.text


async def test_a_connection_that_fails_names_the_cause(customer: Customer, acme: FakeService) -> None:
    acme.answers[f"{PATH}/test"] = {"ok": False} | REFUSED

    page = await customer.post("/integrations/test", form_token=customer.open_session(), **ENTERED)

    assert all(text in page.text for text in (REFUSED["title"], REFUSED["detail"], "Swap?"))


async def test_a_team_that_is_added_has_its_card_in_sight(customer: Customer, acme: FakeService) -> None:
    acme.answers[PATH] = a_card()

    answer = await customer.post("/integrations", form_token=customer.open_session(), **ENTERED)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/integrations?done=added#card-{INTEGRATION}")


async def test_a_team_that_is_refused_keeps_all_that_was_entered_but_the_key(
    customer: Customer, acme: FakeService
) -> None:
    acme.problem(f"POST {PATH}", 422, **REFUSED)

    page = await customer.post("/integrations", form_token=customer.open_session(), **ENTERED)

    assert page.status_code == 422
    assert all(text in page.text for text in (REFUSED["title"], TEAM, "Research"))
    assert FAKE_KEY not in page.text


@pytest.mark.parametrize(
    ("syncs", "text"),
    [
        ([], "Sync requested"),
        ([a_sync()], "2 days changed"),
        ([a_sync(code="xai_unavailable", detail="xAI does not answer.", final=False)], "Not synced yet"),
        ([a_sync(code="key_refused", detail="It was revoked.")], "It was revoked."),
    ],
)
async def test_the_outcome_of_a_force_sync_is_on_its_card(
    customer: Customer, acme: FakeService, syncs: list[dict[str, Any]], text: str
) -> None:
    acme.answers[f"{PATH}/{INTEGRATION}/syncs"] = {"syncs": syncs}
    customer.open_session()

    assert text in (await customer.get("/integrations", synced=INTEGRATION, sync="r1")).text
