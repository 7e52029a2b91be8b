"""What each message does to the syncer. The table at the end names every message and its handler."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from common.database import Database
from common.kafka.consumer import Handler
from common.kafka.failure_policy import BatchHandler
from common.metrics import REQUESTS_IGNORED
from contract.cloudevents import Event, MalformedError, Tombstone
from contract.fields import History, Status, Trigger
from contract.messages import (
    INTEGRATION_STATES,
    CredentialSealed,
    IntegrationState,
    Message,
    SyncCompleted,
    SyncRequested,
)
from contract.problems import Code
from contract.topics import CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS, Topic
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer import coverage, requests, store
from syncer.domain import Days, backfill, default_days
from syncer.requests import Request
from syncer.windows import end_open

BATCH = 500
TOO_OLD = timedelta(days=7)
"""Replaying requests never calls xAI again."""
TOO_EARLY = timedelta(hours=1)


class Handlers:
    """Each handler is one transaction.

    `wake` tells the worker that there may be something to do, `heal` the healer that days may be missing which can be read now.
    """

    def __init__(self, database: Database, wake: Callable[[], None], heal: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._wake = wake
        self._heal = heal

    async def integration(self, event: Event[IntegrationState]) -> None:
        """Keep the newest state; queue what it makes due, in the same transaction."""
        state = event.message
        async with self._database.transaction() as connection:
            await store.serialize(connection, state.integration_id)
            before = await store.load_integration(connection, state.integration_id)
            if before is not None and before.version >= state.version:
                return
            await store.save_integration(connection, state)
            at = await store.now(connection)
            if state.status is Status.REMOVED:
                await _remove(connection, state, at)
            else:
                await _queue_what_is_due(connection, before, state, at)
            await requests.place_parked(connection, state.integration_id, at)
        self._wake()
        if before is not None and state.credential_version > before.credential_version:
            self._heal()

    async def credential(self, event: Event[CredentialSealed]) -> None:
        await self._take_credentials([event.message])

    async def credential_gone(self, event: Event[Tombstone]) -> None:
        await self._take_credentials([event.message])

    async def credentials(self, events: Sequence[Event[Message]]) -> None:
        """A batch of both: a rotation wraps all of them again."""
        await self._take_credentials([event.message for event in events])

    async def _take_credentials(self, messages: Sequence[Message]) -> None:
        async with self._database.transaction() as connection:
            for _, run in groupby(messages, key=type):
                await _take_run(connection, list(run))
        self._wake()

    async def sync_requested(self, event: Event[SyncRequested]) -> None:
        """Take the request once: it joins a window, or opens one, for every integration that it means."""
        wish = event.message
        async with self._database.transaction() as connection:
            at = await store.now(connection)
            if _is_too_old(event, at):
                REQUESTS_IGNORED.inc()
                return
            if wish.requested_at > at + TOO_EARLY:
                raise MalformedError("requested_in_future", "requested_at is more than an hour ahead")
            days = Days(wish.first_day, wish.last_day) if wish.first_day and wish.last_day else default_days(at.date())
            request = Request(wish.request_id, wish.trigger, days, event.recorded_at)
            if wish.integration_id:
                await store.serialize(connection, wish.integration_id)  # or it is parked while the integration arrives
            await requests.take(connection, request, wish.integration_id, at)
        self._wake()

    async def sync_completed(self, event: Event[SyncCompleted]) -> None:
        """Coverage is what the ledger confirmed."""
        async with self._database.transaction() as connection:
            await store.serialize(connection, event.message.integration_id)  # or it could outlive an erase
            await coverage.confirm(connection, event.message)


async def _take_run(connection: AsyncConnection, run: Sequence[Message]) -> None:
    """Messages of one type, in their order."""
    if sealed := [one for one in run if isinstance(one, CredentialSealed)]:
        await store.save_credentials(connection, sealed)
    for one in run:
        if isinstance(one, Tombstone):
            await store.drop_credential(connection, *_tombstone(one))


async def _remove(connection: AsyncConnection, state: IntegrationState, at: datetime) -> None:
    await store.drop_credential(connection, state.integration_id, state.credential_version)
    await end_open(connection, state.integration_id, Code.NOT_FOUND, at)
    if state.history is History.ERASE:
        await coverage.erase(connection, state.integration_id)


async def _queue_what_is_due(
    connection: AsyncConnection, before: store.Integration | None, state: IntegrationState, at: datetime
) -> None:
    today, due = at.date(), list[Request]()
    key_is_newer = before is not None and state.credential_version > before.credential_version
    if key_is_newer:
        await store.clear_refusal(connection, state.integration_id)
    if before is None or before.removed or state.history_from < before.history_from:
        prefix = f"backfill:{state.integration_id}:{state.version}"
        due = [Request(f"{prefix}:{days.first}", Trigger.BACKFILL, days) for days in backfill(state.plan, today)]
    elif key_is_newer:
        request_id = f"credential:{state.integration_id}:{state.credential_version}"
        due = [Request(request_id, Trigger.DAILY, default_days(today))]
    for request in due:
        await requests.take(connection, request, state.integration_id, at)


def _is_too_old(event: Event[SyncRequested], now: datetime) -> bool:
    return min(event.message.requested_at, event.recorded_at) < now - TOO_OLD


def _tombstone(tombstone: Tombstone) -> tuple[UUID, int]:
    try:
        return UUID(tombstone.key), int(tombstone.headers["credential_version"])
    except (ValueError, KeyError):
        raise MalformedError("tombstone_malformed", "the key is no UUID, or credential_version is no number") from None


def batches(handlers: Handlers) -> Mapping[Topic, BatchHandler]:
    """Every topic that the running syncer consumes in batches."""
    return {CREDENTIALS: handlers.credentials}


def table(handlers: Handlers) -> Mapping[Topic, Mapping[type[Message], Handler]]:
    """Every message that the syncer consumes, and what handles it."""
    return {
        INTEGRATIONS: dict.fromkeys(INTEGRATION_STATES, handlers.integration),
        CREDENTIALS: {CredentialSealed: handlers.credential, Tombstone: handlers.credential_gone},
        SYNC_REQUESTS: {SyncRequested: handlers.sync_requested},
        SYNC_OUTCOMES: {SyncCompleted: handlers.sync_completed},
    }
