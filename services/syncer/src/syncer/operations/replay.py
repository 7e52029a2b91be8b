"""What the syncer can handle again of its topics."""

from common.database import Database
from common.kafka.consumer import bind
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher
from common.replay import ReplayHandlers, single_records

from syncer.handlers import HANDLERS, Handlers


def replay_handlers(database: Database, _publisher: Publisher, dead_letters: DeadLetters) -> ReplayHandlers:
    """Whatever a replay makes due, the running syncer does."""
    handlers = Handlers(database, _no_wakeup)
    return ReplayHandlers(
        {topic: single_records(topic, bind(each, handlers), dead_letters) for topic, each in HANDLERS.items()}, _state
    )


def _no_wakeup() -> None:
    """The worker is in another process, and looks by itself every second."""


async def _state() -> dict[str, str]:
    return {}
