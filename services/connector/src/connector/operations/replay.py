"""`python -m connector.operations.replay`: a range of a topic, handled again with the connector's own code."""

from common.database import Database
from common.kafka.consumer import bind
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher
from common.replay import Course, one_by_one, run

from connector.commands.intake import Intake
from connector.handlers import HANDLERS, INTAKE, Handlers


def course(database: Database, _publisher: Publisher, dead_letters: DeadLetters) -> Course:
    """What the connector can handle again; whatever that makes due, the running connector does."""
    outcomes, intake = Handlers(database, wake=_nobody), Intake(database, _nobody, _nobody)
    handlers = {topic: bind(each, outcomes) for topic, each in HANDLERS.items()}
    handlers |= {topic: bind(each, intake) for topic, each in INTAKE.items()}
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
