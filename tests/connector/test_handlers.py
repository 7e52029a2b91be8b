"""Outcomes make the history and the card."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from connector import syncs
from contract.fields import Trigger
from contract.problems import Code

from tests.connector.support.connector import World, later


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


async def test_a_day_that_xai_no_longer_tells_keeps_no_card_backfilling(world: World) -> None:
    card = await world.add(plan="pro")
    first, last = (date.fromisoformat(card["backfill"][name]) for name in ("first_day", "last_day"))

    await world.completed(card, hours=24, first_day=first + timedelta(days=1), last_day=last + timedelta(days=1))

    shown = await world.card(card["integration_id"])
    assert (shown["status"], shown["backfill"]["days_read"]) == ("active", 89)


async def test_a_broker_whose_clock_is_behind_hides_no_progress(world: World) -> None:
    card = await world.add()

    await world.completed(card, recorded_at=datetime.fromisoformat(card["added_at"]) - timedelta(minutes=5))

    assert (await world.card(card["integration_id"]))["status"] == "active"


async def test_what_was_read_before_the_team_came_back_is_not_its_progress(world: World) -> None:
    card = await world.add()
    await world.completed(card, hours=-2)
    await world.http.delete(f"/integrations/{card['integration_id']}")

    again = await world.add()
    await world.completed(card, hours=-1)

    shown = await world.card(again["integration_id"])
    assert (shown["status"], shown["backfill"]["days_read"]) == ("backfilling", 0)


async def test_a_larger_plan_is_filled_in_before_the_card_is_active(world: World) -> None:
    card = await world.add()
    await world.completed(card)
    await world.add(team_id="another", plan="pro")

    await world.completed(card, hours=1)
    assert (await world.card(card["integration_id"]))["status"] == "backfilling"

    await world.completed(await world.card(card["integration_id"]), hours=2)
    assert (await world.card(card["integration_id"]))["status"] == "active"


async def test_old_syncs_are_put_away_without_the_card_forgetting_its_backfill(world: World) -> None:
    card = await world.add()
    await world.completed(card)
    day = date.fromisoformat(card["backfill"]["last_day"]) + timedelta(days=2)
    await world.completed(card, hours=72, first_day=day, last_day=day)
    await world.sql("UPDATE syncs SET recorded_at = recorded_at - interval '401 days'")

    async with world.database.transaction() as connection:
        await syncs.put_away(connection)

    assert [row.first_day for row in await world.sql("SELECT first_day FROM syncs")] != [day]
    assert len(await world.sql("SELECT 1 FROM syncs")) == 1
    assert (await world.card(card["integration_id"]))["backfill"]["days_read"] == 30


async def test_the_same_outcome_counts_once(world: World) -> None:
    card = await world.add()
    await world.completed(card)
    (row,) = await world.sql("SELECT event_id, observed_at FROM syncs")

    await world.sql("UPDATE syncs SET usd = 1")
    await world.completed(card, reading_id=UUID(row.event_id.split(":")[0]))

    assert len((await world.http.get(f"/integrations/{card['integration_id']}/syncs")).json()["syncs"]) == 1


@pytest.mark.parametrize("code", [Code.KEY_REFUSED, Code.ACCESS_DENIED, Code.TEAM_UNKNOWN, Code.TEAM_MALFORMED])
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


async def test_a_hiccup_does_not_hide_that_the_key_was_refused(world: World) -> None:
    card = await world.add()
    await world.failed(card, Code.KEY_REFUSED)

    await world.failed(card, Code.XAI_UNAVAILABLE, hours=1, final=False, next_attempt_at=later(2))

    shown = await world.card(card["integration_id"])
    assert (shown["status"], shown["status_code"]) == ("error", "key_refused")


async def test_a_day_that_xai_cuts_turns_no_card_red(world: World) -> None:
    card = await world.add()
    await world.completed(card)

    await world.failed(card, Code.ANSWER_CUT, hours=1)

    shown = await world.card(card["integration_id"])
    assert (shown["status"], shown["status_code"]) == ("active", "answer_cut")


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
        healing: dict[str, Any] = {"first_day": day, "last_day": day, "trigger": Trigger.HEAL, "reconciled": False}
        await world.completed(card, hours=hours, unreconciled_days=(day,), **healing)

    assert (await world.card(card["integration_id"]))["status_code"] == "not_reconciled"
    await world.completed(card, hours=6, first_day=day - timedelta(days=7), last_day=day - timedelta(days=1))
    assert (await world.card(card["integration_id"]))["status_code"] == "not_reconciled"
    await world.completed(card, hours=7, first_day=day, last_day=day)
    assert (await world.card(card["integration_id"]))["status_code"] is None


async def test_a_reading_that_is_judged_again_is_one_healing_and_its_last_judgement_counts(world: World) -> None:
    card = await world.add()
    day, reading = date.fromisoformat(card["backfill"]["last_day"]), uuid4()
    healing: dict[str, Any] = {"first_day": day, "last_day": day, "trigger": Trigger.HEAL}
    open_: dict[str, Any] = healing | {"reconciled": False, "unreconciled_days": (day,)}

    for number in range(1, 6):
        await world.completed(card, hours=1, reading_id=reading, judgement=f":{number}", **open_)
    assert (await world.card(card["integration_id"]))["status_code"] is None
    for hours in range(2, 6):
        await world.completed(card, hours=hours, reading_id=(reading := uuid4()), **open_)
    assert (await world.card(card["integration_id"]))["status_code"] == "not_reconciled"

    await world.completed(card, hours=5, reading_id=reading, judgement=":2", **healing)
    assert (await world.card(card["integration_id"]))["status_code"] is None


async def test_a_late_copy_does_not_take_an_active_card_back(world: World) -> None:
    card = await world.add(plan="pro")
    first, last = (date.fromisoformat(card["backfill"][name]) for name in ("first_day", "last_day"))
    early: dict[str, Any] = {"first_day": first + timedelta(days=1), "last_day": last, "reading_id": uuid4()}
    await world.completed(card, **early)
    await world.completed(card, hours=24, first_day=last, last_day=last)
    assert (await world.card(card["integration_id"]))["status"] == "active"

    await world.completed(card, **early)

    assert (await world.card(card["integration_id"]))["status"] == "active"


async def test_five_days_that_fail_to_heal_once_are_no_alarm(world: World) -> None:
    card = await world.add()
    await world.completed(card)
    last = date.fromisoformat(card["backfill"]["last_day"])
    for hours in range(1, 6):
        day = last - timedelta(days=2 * hours)
        healing: dict[str, Any] = {"first_day": day, "last_day": day, "trigger": Trigger.HEAL, "reconciled": False}
        await world.completed(card, hours=hours, unreconciled_days=(day,), **healing)

    assert (await world.card(card["integration_id"]))["status_code"] is None


async def test_an_outcome_of_nobodys_integration_is_passed_over(world: World) -> None:
    card = await world.add()

    await world.failed(card, Code.NOT_FOUND, account_id=None, observed_at=None)
    await world.failed(card, Code.KEY_REFUSED, account_id="other")

    assert await world.sql("SELECT 1 FROM syncs") == []
