"""`python -m connector.operations.replay`: a range of a topic, handled again with the connector's own code."""

from common.database import Database
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher
from common.replay import Course, one_by_one, run

from connector.commands.intake import Intake
from connector.handlers import Handlers, table


def course(database: Database, _publisher: Publisher, dead_letters: DeadLetters) -> Course:
    """What the connector can handle again; whatever that makes due, the running connector does."""
    handlers = table(Handlers(database, wake=_nobody), Intake(database, _nobody, _nobody))
    return Course({topic: one_by_one(topic, each, dead_letters) for topic, each in handlers.items()}, _state)


def _nobody() -> None:
    """The worker is in another process, and looks by itself every second."""


async def _state() -> dict[str, str]:
    return {}


def main() -> None:
    """Replay what the arguments name."""
    run("connector", course)


if __name__ == "__main__":
    main()
