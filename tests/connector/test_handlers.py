"""Outcomes make the history and the card."""

from datetime import date, timedelta
from uuid import UUID

import pytest
from common.fields import Trigger
from common.problems import Code
from connector_world import World, later


async def test_the_card_is_active_when_the_backfill_has_been_read(world: World) -> None:
    card = await world.add()

    await world.completed(card)

    shown = await world.card(card["integration_id"])
    assert (shown["status"], shown["backfill"]["days_read"]) == ("active", 30)
    assert shown["last_sync"]["usd"] == "12.5"


async def test_a_part_of_the_backfill_is_progress(world: World) -> None:
    card = await world.add()
    first = date.fromisoformat(card["backfill"]["first_day"])

    await world.completed(
        card, last_day=first + timedelta(days=9), unreconciled_days=(first + timedelta(days=3),), reconciled=False
    )

    shown = await world.card(card["integration_id"])
    assert (shown["status"], shown["backfill"]["days_read"]) == ("backfilling", 9)


async def test_the_same_outcome_counts_once(world: World) -> None:
    card = await world.add()
    await world.completed(card)
    (row,) = await world.sql("SELECT event_id, observed_at FROM syncs")

    await world.sql("UPDATE syncs SET usd = 1")
    await world.completed(card, reading_id=UUID(row.event_id.split(":")[0]))

    assert len((await world.http.get(f"/integrations/{card['integration_id']}/syncs")).json()["syncs"]) == 1


@pytest.mark.parametrize("code", [Code.KEY_REFUSED, Code.ACCESS_DENIED, Code.TEAM_UNKNOWN, Code.ANSWER_CUT])
async def test_a_final_failure_shows_on_the_card_with_the_next_step(world: World, code: Code) -> None:
    card = await world.add()
    await world.completed(card)

    await world.failed(card, code, hours=1)

    shown = await world.card(card["integration_id"])
    assert (shown["status"], shown["status_code"]) == ("error", code.value)
    assert shown["status_detail"]


async def test_a_hiccup_of_xai_turns_no_card_red(world: World) -> None:
    card = await world.add()
    await world.completed(card)

    await world.failed(card, Code.XAI_UNAVAILABLE, hours=1, final=False, next_attempt_at=later(2))

    shown = await world.card(card["integration_id"])
    assert (shown["status"], shown["status_code"]) == ("active", "xai_unavailable")


async def test_a_later_success_clears_the_card(world: World) -> None:
    card = await world.add()
    await world.completed(card)
    await world.failed(card, Code.KEY_REFUSED, hours=1)

    await world.completed(card, hours=2, trigger=Trigger.FORCE)

    shown = await world.card(card["integration_id"])
    assert (shown["status"], shown["status_code"]) == ("active", None)


async def test_an_older_outcome_that_comes_late_does_not_touch_the_card(world: World) -> None:
    card = await world.add()
    await world.completed(card, hours=2)
    await world.failed(card, Code.KEY_REFUSED, hours=3)

    await world.completed(card, hours=1)
    await world.failed(card, Code.XAI_UNAVAILABLE, hours=1)

    shown = await world.card(card["integration_id"])
    assert shown["status_code"] == "key_refused"


async def test_a_refusal_of_a_former_key_does_not_count(world: World) -> None:
    card = await world.add()
    await world.completed(card)
    await world.sql("UPDATE integrations SET credential_version = 2")

    await world.failed(card, Code.KEY_REFUSED, hours=1, credential_version=1)

    assert (await world.card(card["integration_id"]))["status"] == "active"


async def test_an_outcome_without_a_call_is_history_only(world: World) -> None:
    card = await world.add()
    await world.completed(card)

    await world.failed(card, Code.FRESH, observed_at=None, credential_version=None)

    assert (await world.card(card["integration_id"]))["status_code"] is None
    syncs = (await world.http.get(f"/integrations/{card['integration_id']}/syncs")).json()["syncs"]
    assert [one["code"] for one in syncs] == ["fresh", None]


async def test_days_that_do_not_add_up_are_told_after_five_healings(world: World) -> None:
    card = await world.add()
    await world.completed(card)
    day = date.fromisoformat(card["backfill"]["last_day"])
    for hours in range(1, 6):
        assert (await world.card(card["integration_id"]))["status_code"] is None
        healing = {"first_day": day, "last_day": day, "trigger": Trigger.HEAL, "reconciled": False}
        await world.completed(card, hours=hours, unreconciled_days=(day,), **healing)

    assert (await world.card(card["integration_id"]))["status_code"] == "not_reconciled"


async def test_an_outcome_of_nobodys_integration_is_passed_over(world: World) -> None:
    card = await world.add()

    await world.failed(card, Code.NOT_FOUND, account_id=None, observed_at=None)
    await world.failed(card, Code.KEY_REFUSED, account_id="other")

    assert await world.sql("SELECT 1 FROM syncs") == []
