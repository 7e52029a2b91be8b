"""The relay: a row whose version runs ahead of what was announced is published. The row is the outbox."""

import asyncio
from datetime import timedelta
from typing import Any

import structlog
from common.database import Database
from common.errors import name_of
from common.kafka.publisher import Publisher
from common.metrics import ANNOUNCED
from common.wakeup import Wakeup
from common.watchdog import Watchdog
from contract.cloudevents import MARKER_KEY
from contract.fields import Status
from contract.messages import (
    CredentialSealed,
    IntegrationAdded,
    IntegrationChanged,
    IntegrationRemoved,
    IntegrationState,
)
from contract.topics import CREDENTIALS, INTEGRATIONS

from connector import syncs
from connector.commands import inbox
from connector.events import event_log
from connector.outbox import rows as outbox_rows
from connector.outbox.rows import Due
from connector.store import Integration

log = structlog.get_logger()

LOOKS_EVERY = 1.0
MARKS_EVERY = timedelta(hours=1)
AFTER_FAILURE = (1.0, 2.0, 5.0, 10.0)


class Relay:
    """Several may run: each sets what it announced by compare-and-set, and one that slept makes the newest state last again."""

    def __init__(self, database: Database, publisher: Publisher, watchdog: Watchdog) -> None:
        self._database = database
        self._publisher = publisher
        self._watchdog = watchdog
        self._wakeup = Wakeup()

    def wake(self) -> None:
        """A row may run ahead: look now."""
        self._wakeup.wake()

    async def run(self) -> None:
        """Announce until cancelled."""
        self._watchdog.register("relay")
        failures = 0
        while True:
            try:
                await self.round()
                failures = 0
            except Exception as error:  # noqa: BLE001 - the next round may find database and broker again
                log.warning("relay.failed", error=name_of(error))
                failures += 1
            self._watchdog.beat("relay")
            await self._wakeup.wait(AFTER_FAILURE[min(failures, len(AFTER_FAILURE)) - 1] if failures else LOOKS_EVERY)

    async def round(self) -> None:
        """Announce every row that is due, what changed before what only moved to another key."""
        self._wakeup.clear()
        while due := await self._due():
            await self._announce(due)

    async def _due(self) -> list[Due]:
        async with self._database.transaction() as connection:
            return await outbox_rows.due(connection)

    async def _announce(self, due: list[Due]) -> None:
        """Publish rows at the same time, and note those that the broker has; raises what the first that failed raised."""
        results = await asyncio.gather(*map(self._publish, due), return_exceptions=True)
        await self._note([one for one, result in zip(due, results, strict=True) if result is None])
        for result in results:
            if result is not None:
                raise result

    async def _publish(self, due: Due) -> None:
        """The key before the state, so that whoever hears of the integration finds its key."""
        if due.tells_key:
            await self._publish_key(due)
        if due.tells_state:
            await self._publish_state(due.row)
        ANNOUNCED.labels("daily" if due.daily else "changed").inc()
        self._watchdog.beat("relay")  # a day's re-announcement of many rows takes long, and is no standstill

    async def _note(self, told: list[Due]) -> None:
        if not told:
            return
        async with self._database.transaction() as connection:
            left_out = await outbox_rows.note_told(connection, told, wait=False)
        for one in left_out:
            async with self._database.transaction() as connection:
                await outbox_rows.note_told(connection, [one], wait=True)

    async def _publish_state(self, row: Integration) -> None:
        key = str(row.integration_id)
        event_id = f"{row.integration_id}:{row.version}"
        await self._publisher.publish(INTEGRATIONS, state_of(row), key=key, event_id=event_id, at=row.changed_at)
        log.info("integration.announced", integration_id=key, version=row.version, status=row.status.value)

    async def _publish_key(self, due: Due) -> None:
        row = due.row
        key = str(row.integration_id)
        if row.envelope is None:
            headers = {"credential_version": str(row.credential_version)}
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
    """The row as the event that fits; consumers act on the state only."""
    fields: dict[str, Any] = {name: getattr(row, name) for name in IntegrationAdded.model_fields}
    if row.status is Status.REMOVED:
        return IntegrationRemoved(**fields)
    return IntegrationAdded(**fields) if row.version == 1 else IntegrationChanged(**fields)


class Markers:
    """Writes a marker to each partition of the credentials every hour: it rolls the segment, so that tombstones purge."""

    def __init__(self, database: Database, publisher: Publisher, every: timedelta = MARKS_EVERY) -> None:
        self._database = database
        self._publisher = publisher
        self._every = every

    async def run(self) -> None:
        """Mark until cancelled; what fails is done the next time."""
        while True:
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - the next hour may find database and broker again
                log.warning("markers.failed", error=name_of(error))
            await asyncio.sleep(self._every.total_seconds())

    async def round(self) -> None:
        """Mark every partition, and put old history, events and commands away."""
        for partition in range(CREDENTIALS.partitions):
            await self._publisher.send(CREDENTIALS, b"{}", key=MARKER_KEY.encode(), headers={}, partition=partition)
        async with self._database.transaction() as connection:
            await syncs.put_away(connection)
            await event_log.put_away(connection)
            await inbox.put_away(connection)
