"""`python -m ledger.operations.replay`: a range of a topic, handled again with the ledger's own code."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from common.database import Database
from common.kafka.consumer import bind
from common.kafka.dead_letters import DeadLetters
from common.kafka.failure_policy import FailurePolicy
from common.kafka.publisher import Publisher
from common.replay import Course, one_by_one, run
from common.watchdog import Watchdog
from contract.cloudevents import Event, Record
from contract.topics import COSTS

from ledger.handlers import HANDLERS, Handlers
from ledger.store.checksum import checksum
from ledger.tally import Tally


def course(database: Database, publisher: Publisher, dead_letters: DeadLetters) -> Course:
    """What the ledger can handle again; its state is the checksum of figures and coverage."""
    handlers = Handlers(database, publisher)
    single = {topic: one_by_one(topic, bind(each, handlers), dead_letters) for topic, each in HANDLERS.items()}
    policy = FailurePolicy(COSTS, dead_letters, Watchdog(), pause=_no_pause)
    whole = Tally()

    async def costs(records: tuple[Record, ...]) -> Mapping[str, int]:
        tally = Tally()

        async def handle(events: Sequence[Event[Any]]) -> None:
            tally.add(await handlers.handle_batch(events))

        tally.dead_lettered = await policy.consume(records, handle)
        whole.add(tally)
        return tally.counts

    return Course(single | {COSTS: costs}, partial(_state, database), partial(_erased, whole))


async def _no_pause(_seconds: float) -> None:
    """The replay pauses between two attempts."""


async def _state(database: Database) -> dict[str, str]:
    async with database.transaction() as connection:
        return await checksum(connection)


def _erased(whole: Tally) -> list[dict[str, Any]]:
    passed_over = sorted(whole.erased.items())
    return [
        {
            "integration_id": str(one),
            **asdict(erased),
            "first_day": str(erased.first_day),
            "last_day": str(erased.last_day),
        }
        for one, erased in passed_over
    ]


def main() -> None:
    """Replay what the arguments name."""
    run("ledger", course)


if __name__ == "__main__":
    main()
