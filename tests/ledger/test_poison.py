"""What cannot be written, or not be told, is given up alone; nothing else waits for it."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from common.errors import TransientError
from common.kafka.publisher import check_size
from contract.cloudevents import headers_of
from contract.messages import Message
from contract.topics import Topic
from ledger.handlers import Handlers

from tests.ledger.support.ledger import FIRST, RecordingPublisher, World, reading, record_of

BEFORE_TIME = "0001-01-01T00:00:00+14:00"
"""An instant that has no place in UTC."""


class CheckingPublisher(RecordingPublisher):
    """Refuses what is too large, as the real one does."""

    async def publish(self, topic: object, message: Message, *, key: str, event_id: str, at: datetime) -> None:
        assert isinstance(topic, Topic)
        headers = headers_of(message, event_id=event_id, source="/test", at=at)
        check_size(topic, message.model_dump_json().encode(), key=key.encode(), headers=headers)
        await super().publish(topic, message, key=key, event_id=event_id, at=at)


@pytest.fixture
def team() -> UUID:
    return uuid4()


def reasons(world: World) -> list[tuple[int, str]]:
    return [(record.offset, error.reason) for record, error in world.dead_letters.put_away]


async def test_an_instant_outside_of_the_calendar_does_not_stop_the_flow(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}})
    body = said.days[0].model_dump_json().replace(said.days[0].model_dump(mode="json")["observed_at"], BEFORE_TIME)

    await world.receive(record_of(said.days[0], value=body.encode(), offset=3), *said.days, said.window)

    assert reasons(world) == [(3, "body_malformed")]
    assert world.publisher.published[0].message.reconciled is True


async def test_a_record_dated_outside_of_the_calendar_does_not_stop_the_flow(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}})

    await world.receive(record_of(said.days[0], timestamp=2**62, offset=3), *said.days)

    assert reasons(world) == [(3, "timestamp_malformed")]
    assert len(await world.figures()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"first_day": date.min, "last_day": date.max},
        {"first_day": FIRST, "last_day": FIRST - timedelta(days=1)},
        {"first_day": FIRST, "last_day": FIRST + timedelta(days=400)},
    ],
    ids=["of ten thousand years", "that ends before it begins", "of 401 days"],
)
async def test_a_window_that_is_no_range_is_given_up(world: World, team: UUID, changes: dict[str, Any]) -> None:
    said = reading(team, {FIRST: {"a": "1"}})

    await world.receive(*said.days, record_of(said.window.model_copy(update=changes), offset=3), said.window)

    assert reasons(world) == [(3, "body_malformed")]
    assert [one.message.reconciled for one in world.publisher.published] == [True]


async def test_a_window_whose_outcome_is_too_large_to_tell_is_given_up(world: World, team: UUID) -> None:
    publisher = CheckingPublisher()
    handlers = Handlers(world.database, publisher, world.dead_letters)  # type: ignore[arg-type]  # speak the same
    said, other = reading(team, {FIRST: {"a": "1"}}), reading(uuid4(), {FIRST: {"a": "1"}})
    large = said.window.model_copy(update={"request_ids": tuple(f"{number:0200}" for number in range(4_600))})

    await handlers.costs([record_of(large, offset=3), *map(record_of, (*other.days, other.window))])

    assert reasons(world) == [(3, "handler_failed")]
    assert {one.message.reading_id for one in publisher.published} == {other.reading_id}


async def test_tables_that_are_not_as_they_should_be_give_nothing_up(world: World, team: UUID) -> None:
    said = reading(team, {FIRST: {"a": "1"}})
    await world.sql("REVOKE INSERT ON days FROM ledger")
    try:
        with pytest.raises(TransientError):
            await world.receive(*said.days, said.window)
    finally:
        await world.sql("GRANT INSERT ON days TO ledger")

    assert reasons(world) == []


async def test_a_batch_that_comes_again_leaves_no_second_dead_letter(
    world: World, team: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> int:
        raise ConnectionError

    said = reading(team, {FIRST: {"a": "1"}})
    batch = (record_of(said.days[0], value=b"{", offset=3), *said.days)
    with monkeypatch.context() as broken:
        broken.setattr("ledger.store.days.record", away)
        with pytest.raises(ConnectionError):
            await world.receive(*batch)

    await world.receive(*batch)

    assert reasons(world) == [(3, "body_malformed")]


async def test_a_crash_before_the_commit_leaves_nothing(
    world: World, team: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionError

    said = reading(team, {FIRST: {"a": "1"}})
    monkeypatch.setattr("ledger.store.outcomes.save", away)
    with pytest.raises(ConnectionError):
        await world.receive(*said.days, said.window)

    assert (await world.figures(), world.publisher.published) == ([], [])


async def test_a_version_that_fails_on_everything_does_not_empty_the_topic_into_dead_letters(
    world: World, team: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> int:
        raise ZeroDivisionError

    said = reading(team, {FIRST + timedelta(days=number): {"a": "1"} for number in range(12)})
    with monkeypatch.context() as broken:
        broken.setattr("ledger.store.days.record", fails)
        for _ in range(2):
            with pytest.raises(TransientError):
                await world.receive(*said.days, said.window)
        assert {reason for _, reason in reasons(world)} == {"handler_failed"}
        assert len(reasons(world)) == 10

    await world.receive(*said.days, said.window)

    assert len(await world.figures()) == 12
    assert len(reasons(world)) == 10
