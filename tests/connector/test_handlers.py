"""Outcomes of syncs set the card's health."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from contract.fields import Trigger
from contract.problems import Code

from tests.connector.support.connector import NOW, ConnectorHarness, first_day, last_day, path_of

RETRIED: dict[str, Any] = {"final": False, "next_attempt_at": NOW + timedelta(hours=2)}


async def test_the_card_is_active_once_the_backfill_is_read(connector: ConnectorHarness) -> None:
    card = await connector.add()

    await connector.completed(card)

    shown = await connector.card(card)
    assert (shown["status"], shown["backfill"]["days_read"]) == ("active", 30)
    assert shown["last_sync"]["usd"] == "12.5"


async def test_a_larger_plan_is_filled_in_before_the_card_is_active(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    await connector.add(team_id="another", plan="pro")

    await connector.completed(card, hours=1)
    assert (await connector.health(card))[0] == "backfilling"

    await connector.completed(await connector.card(card), hours=2)
    assert (await connector.health(card))[0] == "active"


@pytest.mark.parametrize("code", [Code.KEY_REFUSED, Code.ACCESS_DENIED, Code.TEAM_UNKNOWN, Code.TEAM_MALFORMED])
async def test_a_final_failure_shows_on_the_card_with_the_next_step(connector: ConnectorHarness, code: Code) -> None:
    card = await connector.add()
    await connector.completed(card)

    await connector.failed(card, code, hours=1)

    assert await connector.health(card) == ("error", code.value)
    assert (await connector.card(card))["status_detail"]


@pytest.mark.parametrize(("code", "more"), [(Code.XAI_UNAVAILABLE, RETRIED), (Code.ANSWER_CUT, {})])
async def test_a_failure_that_is_retried_keeps_the_card_active(
    connector: ConnectorHarness, code: Code, more: dict[str, Any]
) -> None:
    card = await connector.add()
    await connector.completed(card)

    await connector.failed(card, code, hours=1, **more)

    assert await connector.health(card) == ("active", code.value)


async def test_a_later_success_clears_the_card(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    await connector.failed(card, Code.KEY_REFUSED, hours=1)

    await connector.completed(card, hours=2, trigger=Trigger.FORCE)

    assert await connector.health(card) == ("active", None)


async def test_an_older_outcome_that_arrives_late_does_not_change_the_card(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card, hours=2)
    await connector.failed(card, Code.KEY_REFUSED, hours=3)

    await connector.completed(card, hours=1)
    await connector.failed(card, Code.XAI_UNAVAILABLE, hours=1)

    assert (await connector.health(card))[1] == "key_refused"


async def test_a_late_copy_does_not_change_an_active_card(connector: ConnectorHarness) -> None:
    card = await connector.add(plan="pro")
    early: dict[str, Any] = {"first_day": first_day(card) + timedelta(days=1), "reading_id": uuid4()}
    await connector.completed(card, **early)
    await connector.completed(card, hours=24, first_day=last_day(card))
    assert (await connector.health(card))[0] == "active"

    await connector.completed(card, **early)

    assert (await connector.health(card))[0] == "active"


async def test_an_outcome_without_a_call_is_history_only(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)

    await connector.failed(card, Code.FRESH, observed_at=None, credential_version=None)

    assert (await connector.health(card))[1] is None
    syncs = (await connector.call("GET", path_of(card, "/syncs")))["syncs"]
    assert [one["code"] for one in syncs] == ["fresh", None]


async def test_an_outcome_of_an_unknown_integration_or_another_account_is_ignored(connector: ConnectorHarness) -> None:
    card = await connector.add()

    await connector.failed(card, Code.NOT_FOUND, account_id=None, observed_at=None)
    await connector.failed(card, Code.KEY_REFUSED, account_id="other")

    assert await connector.sql("SELECT 1 FROM syncs") == []
