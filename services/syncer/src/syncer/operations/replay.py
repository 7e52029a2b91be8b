"""`python -m syncer.operations.replay`: a range of a topic, handled again with the syncer's own code."""

from common.database import Database
from common.kafka.consumer import bind
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher
from common.replay import Course, one_by_one, run

from syncer.handlers import HANDLERS, Handlers


def course(database: Database, _publisher: Publisher, dead_letters: DeadLetters) -> Course:
    """What the syncer can handle again; whatever that makes due, the running syncer does."""
    handlers = Handlers(database, _nobody)
    single = {topic: one_by_one(topic, bind(each, handlers), dead_letters) for topic, each in HANDLERS.items()}
    return Course(single, _state)


def _nobody() -> None:
    """The worker is in another process, and looks by itself every second."""


async def _state() -> dict[str, str]:
    return {}


def main() -> None:
    """Replay what the arguments name."""
    run("syncer", course)


if __name__ == "__main__":
    main()
