"""What became of every message of a batch is counted, and the counts add up."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from contract.fields import History, Status
from contract.messages import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.handlers import Handlers
from ledger.tally import Skipped, Tally

from tests.ledger.support.ledger import FIRST, RecordingPublisher, World, later, reading, record_of

LAST = FIRST + timedelta(days=2)


class Deaf(RecordingPublisher):
    """Refuses what is said of one integration, for no reason that waiting helps with."""

    def __init__(self, refused: UUID) -> None:
        super().__init__()
        self._refused = str(refused)

    async def publish(self, topic: object, message: Message, *, key: str, event_id: str, at: datetime) -> None:
        if key == self._refused:
            raise ValueError("obviously refused")
        await super().publish(topic, message, key=key, event_id=event_id, at=at)


async def test_what_became_of_each_message_is_counted_also_of_what_is_passed_over(world: World) -> None:
    live, gone = uuid4(), uuid4()
    said, erased = reading(live, {FIRST: {"a": "1"}}), reading(gone, {FIRST: {"a": "1"}, LAST: {"a": "2"}})
    await world.add(gone, version=2, status=Status.REMOVED, history=History.ERASE, removed_at=later(0))
    poison = record_of(said.window, value=b"{")
    batch = [record_of(one) for one in (*said.days, *said.days, said.window, *erased.days, erased.window)]

    tally = await world.handlers.handle_batch([*batch, poison])

    assert tally.counts == {"applied": 1, "older": 1, "judged": 1, "erased": 3, "dead_lettered": 1}
    assert tally.erased == {gone: Skipped(FIRST, LAST, cost_recorded=2, window_read=1)}


async def test_what_fails_with_its_batch_is_counted_once(world: World) -> None:
    refused, sound = uuid4(), uuid4()
    handlers = Handlers(world.database, Deaf(refused), world.dead_letters)  # type: ignore[arg-type]  # speak the same
    readings = [reading(one, {FIRST: {"a": "1"}}) for one in (refused, sound)]
    batch = [record_of(message) for one in readings for message in (*one.days, one.window)]

    counts = (await handlers.handle_batch(batch)).counts

    assert (counts["applied"] + counts["older"], counts["judged"], counts["dead_lettered"]) == (2, 1, 1)


BATCHES = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(BATCHES, min_size=1, max_size=3))
async def test_the_counts_of_many_batches_add_up(world: World, batches: list[list[tuple[int, bool]]]) -> None:
    await world.clear()
    teams = [UUID(int=number) for number in range(4)]
    await world.add(teams[0], version=2, status=Status.REMOVED, history=History.ERASE, removed_at=later(0))
    whole = Tally()
    for batch in batches:
        told = [reading(teams[number], {FIRST: {"a": "1"}}) for number, _ in batch]
        records = [
            record_of(one.window if window else one.days[0]) for one, (_, window) in zip(told, batch, strict=True)
        ]
        whole.add(await world.handlers.handle_batch(records))

    assert sum(whole.counts.values()) == sum(map(len, batches))
