"""The parts of every service and their lifecycle: opened and closed in one place."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from contract.access import ACCESS, BrokerAccess

from common.database import Database, SharedSessionsError, make_engine
from common.errors import TransientError, is_own_cancellation
from common.kafka.client import TopicsError, check_topics, make_broker
from common.kafka.consumer import Consumers
from common.kafka.dead_letters import DeadLetters
from common.kafka.diagnostics import BrokerRefusedError, authorization_hint
from common.kafka.durability import warn_of_weak_topics
from common.kafka.publisher import Publisher
from common.kafka.tolerant_consumer import TolerantBroker
from common.settings import ServiceSettings
from common.watchdog import Watchdog

log = structlog.get_logger()

Background = Callable[[], Coroutine[Any, Any, None]]
"""Runs until it is cancelled."""

STOP_DEADLINE = 13.0
"""Seconds: stopping can hang while the broker is unavailable."""
CLOSE_DEADLINE = 3.0
"""The same for the database; with the 13 s for open requests a process ends within 30 s in any case."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one service; nothing is connected before `started`."""

    watchdog: Watchdog
    database: Database
    broker: TolerantBroker
    publisher: Publisher
    dead_letters: DeadLetters
    consumers: Consumers
    access: BrokerAccess

    @property
    def checks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """By name, what raises while it does not work."""
        return {"postgres": self.database.ping, "kafka": self._broker_answers, "publishing": self.publisher.check}

    async def _broker_answers(self) -> None:
        if not await self.broker.ping(timeout=3.0):
            raise TransientError("no broker answers")


def assemble(settings: ServiceSettings, service: str, *, pool_size: int = 10) -> Parts:
    """The parts of `service`, wired and not connected."""
    watchdog = Watchdog()
    broker = make_broker(settings, service)
    publisher = Publisher(broker, service, watchdog)
    dead_letters = DeadLetters(publisher, service)
    consumers = Consumers(broker, service, dead_letters, watchdog, instance_name=settings.instance_name)
    database = Database(make_engine(settings.database_url, schema=service, pool_size=pool_size))
    return Parts(watchdog, database, broker, publisher, dead_letters, consumers, ACCESS[service])


@asynccontextmanager
async def started(parts: Parts, settings: ServiceSettings, *loops: Background) -> AsyncIterator[None]:
    """Connects, checks the topics, consumes and runs `loops`; stops all of it in reverse order, with a deadline.

    Raises SharedSessionsError, TopicsError, BrokerRefusedError, and the errors of an unavailable database or broker.
    """
    tasks: list[asyncio.Task[None]] = []
    try:
        await _join(parts, settings)
        tasks.append(asyncio.create_task(warn_of_weak_topics(settings, parts.access.topics)))
        tasks += [asyncio.create_task(_watched(loop, parts.watchdog)) for loop in loops]
        log.info("service.started")
        yield
    finally:
        await _stop(parts, tasks)
        log.info("service.stopped")


async def _join(parts: Parts, settings: ServiceSettings) -> None:
    try:
        await parts.database.ping()
        await check_topics(settings, parts.access.topics)
        await parts.broker.start()
    except KafkaError as error:
        if hint := authorization_hint(error):
            log.error("service.refused", reason=hint)  # noqa: TRY400 - the hint is enough
        raise
    except (SharedSessionsError, TopicsError, BrokerRefusedError) as error:
        log.error("service.refused", reason=str(error))  # noqa: TRY400 - the message is enough
        raise


async def _watched(loop: Background, watchdog: Watchdog) -> None:
    """A loop that ends before the service does ends the process."""
    name = getattr(getattr(loop, "__self__", None), "name", loop.__qualname__)
    try:
        await loop()
    except asyncio.CancelledError as error:
        if is_own_cancellation():
            raise
        reason = type(error).__name__
    except Exception as error:
        log.exception("loop.failed", loop=name)
        reason = type(error).__name__
    else:
        reason = "ended"
    watchdog.fail(f"{name}: {reason}")


async def _stop(parts: Parts, tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    try:
        async with asyncio.timeout(STOP_DEADLINE):
            if tasks:
                await asyncio.wait(tasks)
            await parts.broker.stop()
    except TimeoutError:
        log.warning("broker.stop_timed_out")
    except Exception as error:  # noqa: BLE001 - the process ends, with the broker or without
        log.warning("broker.stop_failed", error=type(error).__name__)
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_DEADLINE):
            await parts.database.close()
