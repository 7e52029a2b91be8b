"""`grafient cron`: request the daily sync of all active integrations at 06:00 UTC."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import structlog
import typer
from common import logs
from common.errors import TransientError
from common.kafka.client import make_broker
from common.kafka.publisher import Publisher
from common.settings import KafkaSettings, load
from common.watchdog import Watchdog
from contract.fields import Trigger
from contract.messages import SyncRequested
from contract.rules import DAILY_AT
from contract.topics import ALL, SYNC_REQUESTS

from grafient.cli.operations import run_operation
from grafient.cli.output import Json, show

log = structlog.get_logger()

RETRY_AFTER = 5.0


def daily_date(now: datetime) -> date:
    """The date of the last 06:00 UTC that has passed."""
    return now.date() if now.timetz() >= DAILY_AT else now.date() - timedelta(days=1)


def daily_request(day: date, now: datetime) -> SyncRequested:
    """For whoever is connected now; always the same ID for a date: a second emitter changes nothing."""
    return SyncRequested(request_id=f"daily:{day}", trigger=Trigger.DAILY, requested_at=now)


def cron(
    *,
    once: Annotated[bool, typer.Option("--once", help="Emit for the last 06:00 that has passed, and end.")] = False,
    as_json: Json = False,
) -> None:
    """Request the daily sync of all active integrations at 06:00 UTC; at once where that time has passed."""
    settings = load(KafkaSettings)
    if once:
        request_id = run_operation("cron", _run(settings, once=True))
    else:
        logs.configure("cron")
        request_id = asyncio.run(_run(settings, once=False))
    show({"request_id": request_id}, f"requested [bold]{request_id}[/bold]", as_json=as_json)


async def _run(
    settings: KafkaSettings, *, once: bool, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> str:
    async with make_broker(settings, "cron") as broker:
        await broker.connect()
        publisher = Publisher(broker, "cron", Watchdog())
        while True:
            day = daily_date(clock())
            await emit(publisher, daily_request(day, clock()))
            if once:
                return f"daily:{day}"
            await asyncio.sleep(_until_next(day, clock()))


async def emit(publisher: Publisher, request: SyncRequested) -> None:
    """Publish the request, until the broker has it."""
    while True:
        try:
            await publisher.publish(
                SYNC_REQUESTS, request, key=ALL, event_id=request.request_id, at=request.requested_at
            )
        except TransientError as error:
            log.warning("daily.waits", request_id=request.request_id, error=str(error))
            await asyncio.sleep(RETRY_AFTER)
        else:
            log.info("daily.requested", request_id=request.request_id)
            return


def _until_next(day: date, now: datetime) -> float:
    """Seconds to the next 06:00; at most an hour, so that a change of the clock is noticed."""
    due = datetime.combine(day + timedelta(days=1), DAILY_AT)
    return min(max((due - now).total_seconds(), 1.0), 3600.0)
