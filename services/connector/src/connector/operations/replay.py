"""What the connector can handle again of its topics."""

from common.database import Database
from common.kafka.consumer import bind
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher
from common.replay import ReplayHandlers, single_records

from connector.commands.intake import Intake
from connector.handlers import HANDLERS, INTAKE, Handlers


def replay_handlers(database: Database, _publisher: Publisher, dead_letters: DeadLetters) -> ReplayHandlers:
    """Whatever a replay makes due, the running connector does."""
    outcomes, intake = Handlers(database, wake=_no_wakeup), Intake(database, _no_wakeup, _no_wakeup)
    handlers = {topic: bind(each, outcomes) for topic, each in HANDLERS.items()}
    handlers |= {topic: bind(each, intake) for topic, each in INTAKE.items()}
    return ReplayHandlers(
        {topic: single_records(topic, each, dead_letters) for topic, each in handlers.items()}, _state
    )


def _no_wakeup() -> None:
    """The worker is in another process, and looks by itself every second."""


async def _state() -> dict[str, str]:
    return {}
