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
    topics = {topic: single_records(topic, bind(each, outcomes), dead_letters) for topic, each in HANDLERS.items()}
    for topic, each in INTAKE.items():
        again = dict.fromkeys(each, intake.replay)
        topics[topic] = single_records(topic, again, dead_letters, intake.replay_unreadable)
    return ReplayHandlers(topics, _state)


def _no_wakeup() -> None:
    """The worker is in another process, and looks by itself every second."""


async def _state() -> dict[str, str]:
    return {}
