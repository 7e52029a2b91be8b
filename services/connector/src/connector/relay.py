"""The relay: a row whose version runs ahead of what was announced is published. The row is the outbox."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from common.consuming import name_of
from common.database import Database
from common.events import MARKER_KEY
from common.fields import Status
from common.kafka import Publisher
from common.messages import (
    CredentialSealed,
    IntegrationAdded,
    IntegrationChanged,
    IntegrationRemoved,
    IntegrationState,
)
from common.metrics import ANNOUNCED
from common.progress import Progress
from common.topics import CREDENTIALS, INTEGRATIONS
from common.waking import Waker
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from connector import history
from connector.store import COLUMNS, FROM, Integration, integration_of

log = structlog.get_logger()

LOOKS_EVERY = 1.0
MARKS_EVERY = timedelta(hours=1)
AFTER_FAILURE = (1.0, 2.0, 5.0, 10.0)
AT_ONCE = 100

_DUE = text(f"""
    SELECT {COLUMNS}, i.announced_version, coalesce(i.version = i.announced_version, false) AS again
    {FROM}
    WHERE i.version > i.announced_version
        OR (i.credential_version, i.wrap_version) > (i.announced_credential_version, i.announced_wrap_version)
        OR i.announced_at < clock_timestamp() - interval '1 day'
    ORDER BY i.changed_at LIMIT {AT_ONCE}
""")

_ANNOUNCED = text("""
    UPDATE integrations SET announced_version = :version, announced_credential_version = :credential_version,
        announced_wrap_version = :wrap_version, announced_at = clock_timestamp()
    WHERE integration_id = :id AND announced_version = :was
""")

_ANNOUNCE_AGAIN = text("""
    UPDATE integrations SET announced_version = 0 WHERE integration_id = :id AND announced_version > :version
""")


@dataclass(frozen=True, slots=True)
class Due:
    """A row to be announced."""

    row: Integration
    was: int
    """The version that was announced last."""
    again: bool
    """Nothing new: announced again because a day has passed."""


class Relay:
    """Several may run: each sets what it announced by compare-and-set, and one that slept makes the newest state last again."""

    def __init__(self, database: Database, publisher: Publisher, progress: Progress) -> None:
        self._database = database
        self._publisher = publisher
        self._progress = progress
        self._waker = Waker()

    def wake(self) -> None:
        """A row may run ahead: look now."""
        self._waker.wake()

    async def run(self) -> None:
        """Announce until cancelled."""
        self._progress.expect("relay")
        failures = 0
        while True:
            try:
                await self.round()
                failures = 0
            except Exception as error:  # noqa: BLE001 - the next round may find database and broker again
                log.warning("relay.failed", error=name_of(error))
                failures += 1
            self._progress.ended("relay")
            await self._waker.wait(AFTER_FAILURE[min(failures, len(AFTER_FAILURE)) - 1] if failures else LOOKS_EVERY)

    async def round(self) -> None:
        """Announce every row that is due, in the order of their changes."""
        self._waker.clear()
        while due := await self._due():
            for one in due:
                await self._announce(one)
                self._progress.ended("relay")  # a day's re-announcement of many rows takes long, and is no standstill
            if len(due) < AT_ONCE:
                return

    async def _due(self) -> list[Due]:
        async with self._database.transaction() as connection:
            rows = (await connection.execute(_DUE)).mappings().all()
        return [Due(integration_of(dict(row)), row["announced_version"], row["again"]) for row in rows]

    async def _announce(self, due: Due) -> None:
        """Publish the row, the key before the state, so that whoever hears of the integration finds its key."""
        row = due.row
        await self._publish_credential(row)
        state = state_of(row)
        event_id = f"{row.integration_id}:{row.version}"
        key = str(row.integration_id)
        await self._publisher.publish(INTEGRATIONS, state, key=key, event_id=event_id, at=row.changed_at)
        async with self._database.transaction() as connection:
            await _note_announced(connection, due)
        ANNOUNCED.labels("daily" if due.again else "changed").inc()
        log.info("integration.announced", integration_id=key, version=row.version, status=row.status.value)

    async def _publish_credential(self, row: Integration) -> None:
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
        await self._publisher.publish(CREDENTIALS, sealed, key=key, event_id=event_id, at=row.changed_at)


async def _note_announced(connection: AsyncConnection, due: Due) -> None:
    row = due.row
    values = {
        "id": row.integration_id,
        "version": row.version,
        "credential_version": row.credential_version,
        "wrap_version": row.wrap_version,
        "was": due.was,
    }
    if (await connection.execute(_ANNOUNCED, values)).rowcount == 0:
        await connection.execute(_ANNOUNCE_AGAIN, {"id": row.integration_id, "version": row.version})


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
        """Mark every partition, and put old history away."""
        for partition in range(CREDENTIALS.partitions):
            await self._publisher.send(CREDENTIALS, b"{}", key=MARKER_KEY.encode(), headers={}, partition=partition)
        async with self._database.transaction() as connection:
            await history.put_away(connection)
