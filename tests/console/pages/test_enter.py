"""The way in: a link is shown by GET, used by POST, once."""

from datetime import timedelta

import pytest

from tests.console.support.browsing import Customer, a_link, hidden_fields, parameters_of


async def test_a_link_opens_the_console_by_its_button(customer: Customer) -> None:
    shown = await customer.get("/enter", **parameters_of(a_link()))
    assert shown.status_code == 200
    assert "<script" not in shown.text
    entered = await customer.post("/enter", **hidden_fields(shown))
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert (await customer.get("/")).status_code != 401


async def test_looking_at_a_link_does_not_use_it_and_using_it_does(customer: Customer) -> None:
    parameters = parameters_of(a_link())
    for _ in range(3):
        assert (await customer.get("/enter", **parameters)).status_code == 200
    assert (await customer.post("/enter", **parameters)).status_code == 303
    again = await customer.post("/enter", **parameters)
    assert again.status_code == 403
    assert "This link was used" in again.text
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "This link is not valid"),
        (parameters_of(a_link(), "obviously-fake-secret-of-a-test-0003"), "This link is not valid"),
        (parameters_of(a_link(valid=timedelta(minutes=-2))), "This link has expired"),
        (parameters_of(a_link(valid=timedelta(hours=1))), "This link is not valid"),
    ],
    ids=["empty", "forged", "expired", "valid for an hour"],
)
async def test_a_link_that_opens_nothing_explains_how_to_get_a_new_one(
    customer: Customer, parameters: dict[str, str], sentence: str
) -> None:
    for answer in (await customer.get("/enter", **parameters), await customer.post("/enter", **parameters)):
        assert answer.status_code == 403
        assert sentence in answer.text
