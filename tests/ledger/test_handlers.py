"""What each message does to the ledger."""

import random
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from contract.fields import History, Status
from contract.messages import CostRecorded, SyncCompleted
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError

from tests.ledger.support.ledger import FIRST, NOON, World, later, reading, record_of

DAY_2, DAY_3 = FIRST + timedelta(days=1), FIRST + timedelta(days=2)


@pytest.fixture
def team() -> UUID:
    return uuid4()


async def test_a_readings_days_stand_digit_for_digit(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"grok-4": "0.1234567890123456789", "grok-5": "1000000000000"}, DAY_2: {}})

    await world.receive(*said.days, said.window)

    (first, second) = await world.figures()
    assert first.usd == Decimal("1000000000000.1234567890123456789")
    assert [cost["usd"] for cost in first.costs] == ["0.1234567890123456789", "1000000000000"]
    assert (second.usd, second.costs) == (0, [])


async def test_a_whole_reading_is_reconciled(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"grok-4": "1.5"}, DAY_2: {"grok-4": "2.25"}})

    await world.receive(*said.days, said.window)

    (published,) = world.publisher.published
    completed: SyncCompleted = published.message
    assert (completed.reconciled, completed.usd, completed.days_changed) == (True, Decimal("3.75"), 0)
    assert completed.request_ids == ("request-1",)
    assert published.key == str(team)


async def test_a_newer_reading_replaces_the_day_whole(world: World, team: UUID) -> None:
    await world.receive(*reading(team, {FIRST: {"grok-4": "1", "vanishes": "2"}}).days)

    await world.receive(*reading(team, {FIRST: {"grok-4": "5"}}, observed_at=later(1)).days)

    (day,) = await world.figures()
    assert [(cost["label"], cost["usd"]) for cost in day.costs] == [("grok-4", "5")]


@pytest.mark.parametrize("hours", [0, -1])
async def test_an_older_or_equal_reading_changes_nothing(world: World, team: UUID, hours: int) -> None:
    said = reading(team, {FIRST: {"grok-4": "1"}})
    await world.receive(*said.days)

    await world.receive(*reading(team, {FIRST: {"grok-4": "9"}}, observed_at=later(hours)).days)

    (day,) = await world.figures()
    assert (day.usd, day.reading_id) == (1, said.reading_id)


async def test_a_restatement_leaves_what_was_said_before(world: World, team: UUID) -> None:
    before = reading(team, {FIRST: {"grok-4": "1"}})
    same = reading(team, {FIRST: {"grok-4": "1"}}, observed_at=later(1))
    after = reading(team, {FIRST: {"grok-4": "2"}}, observed_at=later(2))

    for said in (before, same, after):
        await world.receive(*said.days, said.window)

    (revision,) = await world.revisions()
    assert (revision.usd, revision.said_since, revision.said_until) == (1, NOON, later(2))
    assert (revision.reading_id, revision.replaced_by) == (same.reading_id, after.reading_id)
    assert [one.message.days_changed for one in world.publisher.published] == [0, 0, 1]


async def test_a_day_that_comes_twice_in_a_batch_loses_no_revision(world: World, team: UUID) -> None:
    said = [reading(team, {FIRST: {"grok-4": str(usd)}}, observed_at=later(usd)) for usd in (3, 1, 2)]

    await world.receive(*(day for one in said for day in one.days))

    assert [one.usd for one in await world.figures()] == [3]
    assert [one.usd for one in await world.revisions()] == [1, 2]


async def test_any_order_and_any_number_of_copies_leave_the_same_figures(world: World) -> None:
    teams = [uuid4(), uuid4()]
    said = [
        reading(team, {FIRST: {"a": str(hours)}, DAY_2: {"b": str(hours)}}, observed_at=later(hours))
        for team in teams
        for hours in range(4)
    ]
    messages = [message for one in said for message in (*one.days, one.window)]
    await world.receive(*messages)
    expected = await world.figures()

    for seed in range(5):
        await world.clear()
        shuffled = random.Random(seed).sample(messages * 2, len(messages) * 2)
        for start in range(0, len(shuffled), 7):
            await world.receive(*shuffled[start : start + 7])
        assert await world.figures() == expected


async def test_a_malformed_message_in_the_middle_of_a_batch_goes_alone(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}, DAY_2: {"a": "2"}})
    bad = record_of(said.days[0], value=b"{nonsense")

    await world.receive(said.days[0], bad, said.days[1], said.window)

    assert [one[1].reason for one in world.dead_letters.put_away] == ["body_malformed"]
    assert world.publisher.published[0].message.reconciled is True


async def test_what_the_database_refuses_is_found_by_halves(world: World, team: UUID) -> None:
    said = [reading(team, {FIRST + timedelta(days=number): {"a": "1"}}).days[0] for number in range(9)]
    poison = record_of(said[4])
    await world.sql("ALTER TABLE days ADD CONSTRAINT poison CHECK (day <> '2026-11-05')")
    try:
        await world.receive(*said[:4], poison, *said[5:])
    finally:
        await world.sql("ALTER TABLE days DROP CONSTRAINT poison")

    assert [one[0] for one in world.dead_letters.put_away] == [poison]
    assert len(await world.figures()) == 8


async def test_an_outage_of_the_database_gives_nothing_up(
    world: World, team: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> int:
        raise OperationalError("INSERT", {}, Exception("away"))

    monkeypatch.setattr("ledger.store.days.record", away)

    with pytest.raises(OperationalError):
        await world.receive(*reading(team, {FIRST: {"a": "1"}}).days)
    assert world.dead_letters.put_away == []


async def test_a_crash_between_commit_and_publish_publishes_the_same_again(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}})
    world.publisher.away = True
    with pytest.raises(ConnectionError):
        await world.receive(*said.days, said.window)
    world.publisher.away = False

    await world.receive(*said.days, said.window)
    await world.receive(*said.days, said.window)

    first, second = world.publisher.published
    assert (first.event_id, first.message) == (second.event_id, second.message)


async def test_a_window_of_which_a_day_is_missing_is_not_reconciled_until_it_comes(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}, DAY_2: {"a": "2"}})
    await world.receive(said.days[0], said.window)
    await world.receive(said.days[1], said.window)

    first, second = world.publisher.published
    assert (first.message.reconciled, first.message.unreconciled_days) == (False, (DAY_2,))
    assert second.message.reconciled is True
    assert first.event_id != second.event_id


async def test_a_newer_reading_of_a_day_counts_for_an_older_window(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}})
    newer = reading(team, {FIRST: {"a": "2"}}, observed_at=later(1))

    await world.receive(*newer.days, said.window)

    assert world.publisher.published[0].message.reconciled is True


async def test_a_day_that_xai_cut_off_is_not_reconciled(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}, DAY_3: {"a": "3"}}, cut=[DAY_2])

    await world.receive(*said.days, said.window)

    completed = world.publisher.published[0].message
    assert (completed.unreconciled_days, completed.usd) == ((DAY_2,), 4)


async def test_a_window_whose_sum_is_another_is_not_reconciled(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}})
    wrong = said.window.model_copy(update={"totals": {FIRST: Decimal("1.01")}})

    await world.receive(*said.days, wrong)

    assert world.publisher.published[0].message.unreconciled_days == (FIRST,)


async def test_an_erased_integration_stays_erased(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}})
    await world.receive(*said.days, said.window)
    removed = {"version": 2, "status": Status.REMOVED, "history": History.ERASE, "removed_at": NOON}
    await world.add(team, **removed)
    world.publisher.published.clear()

    await world.receive(*said.days, said.window)

    assert (await world.figures(), await world.revisions()) == ([], [])
    assert world.publisher.published == []


async def test_a_removed_integrations_history_is_kept(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}})
    await world.receive(*said.days)

    await world.add(team, version=2, status=Status.REMOVED, history=History.KEEP, removed_at=NOON)

    assert len(await world.figures()) == 1


async def test_an_older_version_of_an_integration_changes_nothing(world: World, team: UUID) -> None:
    await world.add(team, version=3, label="New")
    await world.add(team, version=2, label="Old")

    assert await world.sql("SELECT label, version FROM integrations") == [("New", 3)]


async def test_a_cost_whose_integration_is_not_known_is_kept(world: World, team: UUID) -> None:
    await world.receive(*reading(team, {FIRST: {"a": "1"}}).days)

    assert len(await world.figures()) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE day_revisions SET usd = 0",
        "DELETE FROM day_revisions",
        "TRUNCATE day_revisions",
        "DELETE FROM days",
        "DELETE FROM erased",
        "INSERT INTO erased VALUES (gen_random_uuid())",
    ],
)
async def test_the_ledgers_role_cannot_change_history(world: World, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with world.database.transaction() as connection:
            await connection.execute(text(statement))


async def test_people_can_read_the_view(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1.5", "b": "2"}}, observed_at=NOON)
    await world.receive(*said.days)

    rows = await world.sql("SELECT label, usd, provisional FROM daily_costs ORDER BY label")

    assert rows == [("a", Decimal("1.5"), False), ("b", Decimal(2), False)]


def test_a_message_whose_sum_is_wrong_is_refused(team: UUID) -> None:
    (day,) = reading(team, {FIRST: {"a": "1"}}).days
    with pytest.raises(ValueError, match="not the sum"):
        CostRecorded.model_validate(day.model_dump() | {"usd": "2"})
