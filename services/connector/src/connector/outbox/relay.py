"""The relay publishes every row whose version is ahead of what was announced. The row is the outbox."""

import asyncio
from typing import Any

import structlog
from common.database import Database
from common.kafka.publisher import Publisher
from common.loops import Loop
from common.metrics import ANNOUNCED, declare
from common.watchdog import Watchdog
from contract.fields import Status
from contract.messages import (
    CredentialSealed,
    IntegrationAdded,
    IntegrationChanged,
    IntegrationRemoved,
    IntegrationState,
)
from contract.topics import CREDENTIALS, INTEGRATIONS
from contract.tracing import trace_headers, tracing

from connector.outbox import rows
from connector.outbox.rows import Due
from connector.store import Integration

log = structlog.get_logger()

POLL_EVERY = 1.0


class Relay:
    """Several may run: each marks rows by compare-and-set, and after a slow one the newest state is announced again."""

    def __init__(self, database: Database, publisher: Publisher, watchdog: Watchdog) -> None:
        declare(ANNOUNCED, ["changed", "daily"])
        self._database = database
        self._publisher = publisher
        self._loop = Loop("relay", watchdog, self.publish_due, every=POLL_EVERY)
        self.run = self._loop.run
        self.wake = self._loop.wake

    async def publish_due(self) -> None:
        """Publish every row that is due; one that becomes due meanwhile is found when the relay is woken, or polls."""
        while due := await self._due():
            await self._announce(due)
            if len(due) < rows.BATCH_SIZE:
                return

    async def _due(self) -> list[Due]:
        async with self._database.direct() as driver:
            return await rows.due(driver)

    async def _announce(self, due: list[Due]) -> None:
        """Publish rows at the same time and mark those that the broker has; raises the first failure."""
        results = await asyncio.gather(*map(self._publish, due), return_exceptions=True)
        await self._mark([one for one, result in zip(due, results, strict=True) if result is None])
        for result in results:
            if result is not None:
                raise result

    async def _publish(self, due: Due) -> None:
        """The key before the state, so that a consumer of the state finds the key."""
        with tracing(due.traceparent):
            if due.publishes_key:
                await self._publish_key(due)
            if due.publishes_state:
                await self._publish_state(due.row)
        ANNOUNCED.labels("daily" if due.daily else "changed").inc()
        self._loop.beat()  # the daily announcement of many rows takes long

    async def _mark(self, published: list[Due]) -> None:
        if not published:
            return
        async with self._database.direct() as driver:
            for one in await rows.mark_announced(driver, published, wait=False):
                await rows.mark_announced(driver, [one], wait=True)

    async def _publish_state(self, row: Integration) -> None:
        key = str(row.integration_id)
        event_id = f"{row.integration_id}:{row.version}"
        await self._publisher.publish(INTEGRATIONS, state_of(row), key=key, event_id=event_id, at=row.changed_at)
        log.info("integration.announced", integration_id=key, version=row.version, status=row.status.value)

    async def _publish_key(self, due: Due) -> None:
        row = due.row
        key = str(row.integration_id)
        if row.envelope is None:
            headers = {"credential_version": str(row.credential_version)} | trace_headers()
            await self._publisher.send(CREDENTIALS, None, key=key.encode(), headers=headers)
            return
        sealed = CredentialSealed(
            integration_id=row.integration_id,
            account_id=row.account_id,
            credential_version=row.credential_version,
            wrap_version=row.wrap_version,
            envelope=row.envelope,
        )
        event_id = f"{row.integration_id}:credential:{row.credential_version}.{row.wrap_version}"
        await self._publisher.publish(CREDENTIALS, sealed, key=key, event_id=event_id, at=due.sealed_at)


def state_of(row: Integration) -> IntegrationState:
    """The row as an event; consumers act on the state only, not on the event's type."""
    fields: dict[str, Any] = {name: getattr(row, name) for name in IntegrationAdded.model_fields}
    if row.status is Status.REMOVED:
        return IntegrationRemoved(**fields)
    return IntegrationAdded(**fields) if row.version == 1 else IntegrationChanged(**fields)
