"""What each message does to the connector. The tables at the end name every message and its handler."""

from collections.abc import Callable, Sequence

from common.database import Database
from common.kafka.consumer import BatchTable, HandlerTable
from contract.cloudevents import Event
from contract.messages import COMMANDS, SyncCompleted, SyncFailed
from contract.topics import COMMANDS_TOPIC, SYNC_OUTCOMES

from connector import outcomes
from connector.commands.intake import Intake
from connector.syncs import SyncOutcome


class Handlers:
    """Outcomes are the history; the newest one sets the health. `wake` wakes the relay."""

    def __init__(self, database: Database, wake: Callable[[], None]) -> None:
        self._database = database
        self._wake = wake

    async def outcome(self, event: Event[SyncOutcome]) -> None:
        await self.outcomes([event])

    async def outcomes(self, events: Sequence[Event[SyncOutcome]]) -> None:
        """In one transaction."""
        async with self._database.pipeline() as pipeline:
            is_announced = await outcomes.apply(pipeline, events)
        if is_announced:
            self._wake()


HANDLERS: HandlerTable[Handlers] = {SYNC_OUTCOMES: dict.fromkeys((SyncCompleted, SyncFailed), Handlers.outcome)}
BATCH_HANDLERS: BatchTable[Handlers] = {SYNC_OUTCOMES: Handlers.outcomes}
INTAKE: HandlerTable[Intake] = {COMMANDS_TOPIC: dict.fromkeys(COMMANDS, Intake.take)}
"""What a command does is in the table of `commands.handlers`."""
