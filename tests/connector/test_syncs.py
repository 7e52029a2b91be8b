"""How far the history of syncs covers a backfill, and which days never add up."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from connector.schemas import SYNC_DETAILS
from contract.fields import Trigger
from contract.problems import Code

from tests.connector.support.connector import ConnectorHarness, first_day, last_day, path_of


async def _progress(connector: ConnectorHarness, card: dict[str, Any]) -> tuple[str, int]:
    shown = await connector.card(card)
    return shown["status"], shown["backfill"]["days_read"]


async def test_a_part_of_the_backfill_is_progress(connector: ConnectorHarness) -> None:
    card = await connector.add()
    first = first_day(card)

    unreconciled = (first + timedelta(days=3),)
    await connector.completed(
        card, last_day=first + timedelta(days=9), unreconciled_days=unreconciled, reconciled=False
    )

    assert await _progress(connector, card) == ("backfilling", 9)


async def test_a_day_that_xai_no_longer_answers_keeps_no_card_backfilling(connector: ConnectorHarness) -> None:
    card = await connector.add(plan="pro")
    first, last = first_day(card) + timedelta(days=1), last_day(card) + timedelta(days=1)

    await connector.completed(card, hours=24, first_day=first, last_day=last)

    assert await _progress(connector, card) == ("active", 89)


async def test_a_slow_clock_of_the_broker_hides_no_progress(connector: ConnectorHarness) -> None:
    card = await connector.add()

    await connector.completed(card, recorded_at=datetime.fromisoformat(card["added_at"]) - timedelta(minutes=5))

    assert (await connector.health(card))[0] == "active"


async def test_readings_before_the_team_was_added_again_are_no_progress(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card, hours=-2)
    await connector.remove(card)

    again = await connector.add()
    await connector.completed(card, hours=-1)

    assert await _progress(connector, again) == ("backfilling", 0)


async def test_the_same_outcome_counts_once(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    (row,) = await connector.sql("SELECT event_id, observed_at FROM syncs")

    await connector.sql("UPDATE syncs SET usd = 1")
    await connector.completed(card, reading_id=UUID(row.event_id.split(":")[0]))

    assert len((await connector.call("GET", path_of(card, "/syncs")))["syncs"]) == 1


def _healed(card: dict[str, Any], *, days_ago: int = 0, reconciled: bool = False) -> dict[str, Any]:
    """A healing of one day."""
    day = last_day(card) - timedelta(days=days_ago)
    unreconciled = () if reconciled else (day,)
    return {
        "first_day": day,
        "last_day": day,
        "trigger": Trigger.HEAL,
        "reconciled": reconciled,
        "unreconciled_days": unreconciled,
    }


async def test_a_day_that_does_not_add_up_shows_after_five_healings(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    day = last_day(card)
    for hours in range(1, 6):
        assert (await connector.health(card))[1] is None
        await connector.completed(card, hours=hours, **_healed(card))

    assert (await connector.health(card))[1] == "not_reconciled"
    await connector.completed(card, hours=6, first_day=day - timedelta(days=7), last_day=day - timedelta(days=1))
    assert (await connector.health(card))[1] == "not_reconciled"
    await connector.completed(card, hours=7, first_day=day, last_day=day)
    assert (await connector.health(card))[1] is None


async def test_a_reading_that_is_reconciled_again_is_one_healing_and_its_last_revision_counts(
    connector: ConnectorHarness,
) -> None:
    card = await connector.add()
    reading = uuid4()
    for number in range(1, 6):
        await connector.completed(card, hours=1, reading_id=reading, revision=f":{number}", **_healed(card))
    assert (await connector.health(card))[1] is None
    for hours in range(2, 6):
        await connector.completed(card, hours=hours, reading_id=(reading := uuid4()), **_healed(card))
    assert (await connector.health(card))[1] == "not_reconciled"

    await connector.completed(card, hours=5, reading_id=reading, revision=":2", **_healed(card, reconciled=True))
    assert (await connector.health(card))[1] is None


async def test_five_days_that_fail_to_heal_once_are_no_alarm(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    for hours in range(1, 6):
        await connector.completed(card, hours=hours, **_healed(card, days_ago=2 * hours))

    assert (await connector.health(card))[1] is None


async def test_an_expired_request_is_one_line_of_the_history_and_no_error_of_the_card(
    connector: ConnectorHarness,
) -> None:
    card = await connector.add()
    ended: dict[str, Any] = {"attempts": 0, "observed_at": None, "credential_version": None}
    for _ in range(2):
        await connector.failed(card, Code.EXPIRED, event_id="one:request:expired", **ended)

    (line,) = (await connector.call("GET", path_of(card, "/syncs")))["syncs"]
    assert (line["code"], line["final"], line["detail"]) == ("expired", True, SYNC_DETAILS[Code.EXPIRED])
    assert (await connector.health(card)) == ("backfilling", None)
