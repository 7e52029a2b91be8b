"""`python -m ledger.replay`: a range of a topic, handled again with the ledger's own code."""

from functools import partial

from common.database import Database
from common.deadletters import DeadLetters
from common.kafka import Publisher
from common.replaying import Course, one_by_one, run
from prometheus_client import REGISTRY

from ledger import store
from ledger.handlers import Handlers, batches, table


def course(database: Database, publisher: Publisher, dead_letters: DeadLetters) -> Course:
    """What the ledger can handle again; its state is the checksum of figures and coverage."""
    handlers = Handlers(database, publisher, dead_letters)
    single = {topic: one_by_one(topic, each, dead_letters) for topic, each in table(handlers).items()}
    return Course(single | dict(batches(handlers)), partial(_state, database), _counts)


async def _state(database: Database) -> dict[str, str]:
    async with database.transaction() as connection:
        return await store.checksum(connection)


def _counts() -> dict[str, int]:
    told = {
        outcome: REGISTRY.get_sample_value("ledger_days_total", {"outcome": outcome})
        for outcome in ("applied", "older")
    }
    return {outcome: int(count or 0) for outcome, count in told.items()}


def main() -> None:
    """Replay what the arguments name."""
    run("ledger", course)


if __name__ == "__main__":
    main()
