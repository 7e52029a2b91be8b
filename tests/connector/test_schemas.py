"""The texts of a card."""

import pytest
from contract.problems import Code

from tests.connector.support.connector import ConnectorHarness, first_day, last_day


async def test_a_team_without_use_is_no_error(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card, usd=0)

    shown = await connector.card(card)

    assert (shown["status"], shown["status_detail"]) == ("active", None)
    assert shown["last_sync"]["text"] == f"No use from {first_day(card)} to {last_day(card)}"
    assert shown["data_as_of"] == shown["last_sync"]["at"]


@pytest.mark.parametrize(
    ("code", "next_step"),
    [
        (Code.KEY_REFUSED, "Create a Management API key"),
        (Code.XAI_UNAVAILABLE, "This proves nothing about the key"),
        (Code.ANSWER_UNREADABLE, "support"),
    ],
)
async def test_an_error_shows_with_its_next_step(connector: ConnectorHarness, code: Code, next_step: str) -> None:
    card = await connector.add()
    await connector.failed(card, code)

    shown = await connector.card(card)

    assert (shown["status"], shown["status_code"]) == ("error", code.value)
    assert next_step in shown["status_detail"]
    assert shown["status_since"] > card["status_since"]
