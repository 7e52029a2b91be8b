"""What the ledger can handle again of its topics."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from common.database import Database
from common.kafka.consumer import bind
from common.kafka.dead_letters import DeadLetters
from common.kafka.failure_policy import FailurePolicy
from common.kafka.publisher import Publisher
from common.replay import Figures, ReplayHandlers, single_records
from common.watchdog import Watchdog
from contract.cloudevents import Event, Record
from contract.topics import COSTS

from ledger.handlers import HANDLERS, Handlers
from ledger.store.checksum import checksum
from ledger.tally import Tally


def replay_handlers(database: Database, publisher: Publisher, dead_letters: DeadLetters) -> ReplayHandlers:
    """The state of the ledger is the checksum of figures and coverage."""
    handlers = Handlers(database, publisher)
    single = {topic: single_records(topic, bind(each, handlers), dead_letters) for topic, each in HANDLERS.items()}
    policy = FailurePolicy(COSTS, dead_letters, Watchdog(), pause=_no_pause)
    total = Tally()

    async def costs(records: tuple[Record, ...]) -> Mapping[str, int]:
        tally = Tally()

        async def handle(events: Sequence[Event[Any]]) -> None:
            tally.add(await handlers.handle_batch(events))

        tally.dead_lettered = await policy.consume(records, handle)
        total.add(tally)
        return tally.counts

    return ReplayHandlers(single | {COSTS: costs}, partial(_state, database), partial(_erased, total))


async def _no_pause(_seconds: float) -> None:
    """The replay pauses between two attempts."""


async def _state(database: Database) -> Figures:
    async with database.transaction() as connection:
        return await checksum(connection)


def _erased(tally: Tally) -> list[dict[str, Any]]:
    """One row an integration, ready for JSON."""
    return [
        {"integration_id": str(one)}
        | asdict(erased)
        | {"first_day": str(erased.first_day), "last_day": str(erased.last_day)}
        for one, erased in sorted(tally.erased.items())
    ]
