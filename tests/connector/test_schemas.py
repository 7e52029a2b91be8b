"""The texts of a card."""

import pytest
from contract.problems import Code, cause_of

from tests.connector.support.connector import ConnectorHarness, first_day, last_day, path_of


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


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        (Code.EXPIRED, "The request was over 7 days old"),
        (Code.NOT_FOUND, "The integration was removed"),
        (Code.REQUEST_MALFORMED, "The request was dated over an hour ahead"),
        (Code.FRESH, "Force Sync calls it anyway"),
        (Code("of_a_newer_version"), cause_of(Code("of_a_newer_version")).detail),
    ],
)
async def test_a_sync_that_ended_without_a_call_has_a_sentence_and_leaves_the_card_alone(
    connector: ConnectorHarness, code: Code, detail: str
) -> None:
    card = await connector.add()
    await connector.failed(card, code, observed_at=None)

    (line,) = (await connector.call("GET", path_of(card, "/syncs")))["syncs"]

    assert (line["code"], line["final"]) == (code.value, True)
    assert detail in line["detail"]
    assert await connector.health(card) == ("backfilling", None)


async def test_a_code_of_a_newer_version_is_shown_as_text(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.failed(card, Code("of_a_newer_version"))

    shown = await connector.card(card)

    assert (shown["status"], shown["status_code"]) == ("error", "of_a_newer_version")
    assert shown["status_text"] == cause_of(Code("of_a_newer_version")).title
