"""A service states its handlers as tables of methods; they are bound to an instance when it subscribes."""

from typing import Any

from common.kafka.consumer import BatchTable, Consumers, HandlerTable, bind
from contract.cloudevents import Event
from contract.messages import CostRecorded, SyncCompleted, SyncFailed, WindowRead
from contract.topics import COSTS, SYNC_OUTCOMES, Topic


class Handlers:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    async def completed(self, event: Event[SyncCompleted]) -> None:
        self.calls.append(("completed", event))

    async def failed(self, event: Event[SyncFailed]) -> None:
        self.calls.append(("failed", event))

    async def cost(self, event: Event[CostRecorded | WindowRead]) -> None:
        self.calls.append(("cost", event))

    async def costs(self, events: Any) -> None:
        self.calls.append(("costs", events))


TABLE: HandlerTable[Handlers] = {
    SYNC_OUTCOMES: {SyncCompleted: Handlers.completed, SyncFailed: Handlers.failed},
    COSTS: {CostRecorded: Handlers.cost, WindowRead: Handlers.cost},
}
BATCHES: BatchTable[Handlers] = {COSTS: Handlers.costs}


class RecordingConsumers(Consumers):
    def __init__(self) -> None:
        self.single: dict[Topic, tuple[Any, Any]] = {}
        self.batches: dict[Topic, Any] = {}
        self.gathered: set[Topic] = set()

    def on(self, topic: Topic, handlers: Any, on_give_up: Any = None) -> None:
        self.single[topic] = (handlers, on_give_up)

    def on_batch(self, topic: Topic, handle: Any, *, max_records: int = 0, gathered: bool = False) -> None:  # noqa: ARG002 - its real part
        self.batches[topic] = handle
        self.gathered |= {topic} if gathered else set()


async def test_each_message_is_handled_by_the_method_that_its_table_names() -> None:
    consumers, handlers = RecordingConsumers(), Handlers()

    async def give_up(*_: object) -> bool:
        return True

    consumers.subscribe(handlers, TABLE, BATCHES, give_up)

    methods, on_give_up = consumers.single[SYNC_OUTCOMES]
    await methods[SyncFailed]("event")
    await methods[SyncCompleted]("event")
    await consumers.batches[COSTS](["event"])
    assert handlers.calls == [("failed", "event"), ("completed", "event"), ("costs", ["event"])]
    assert on_give_up is give_up


def test_a_topic_of_both_tables_is_consumed_in_batches_only() -> None:
    consumers = RecordingConsumers()

    consumers.subscribe(Handlers(), TABLE, BATCHES)

    assert (set(consumers.single), set(consumers.batches)) == ({SYNC_OUTCOMES}, {COSTS})


def test_only_topics_that_a_service_names_are_gathered() -> None:
    consumers = RecordingConsumers()
    batches: BatchTable[Handlers] = {COSTS: Handlers.costs, SYNC_OUTCOMES: Handlers.costs}

    consumers.subscribe(Handlers(), {}, batches, gathered=[SYNC_OUTCOMES])

    assert consumers.gathered == {SYNC_OUTCOMES}


async def test_an_override_of_a_subclass_counts() -> None:
    class Loud(Handlers):
        async def failed(self, event: Event[SyncFailed]) -> None:
            self.calls.append(("loud", event))

    handlers = Loud()
    await bind({SyncFailed: Handlers.failed}, handlers)[SyncFailed]("event")  # type: ignore[arg-type]  # any value will do

    assert handlers.calls == [("loud", "event")]
