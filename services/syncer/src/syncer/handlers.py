"""What each message does to the syncer. The tables at the end name every message and its handler."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

import structlog
from common.database import Database, Pipeline
from common.kafka.consumer import BatchTable, HandlerTable
from common.metrics import REQUESTS_IGNORED
from contract.cloudevents import Event, MalformedError, Tombstone
from contract.messages import (
    INTEGRATION_STATES,
    CredentialSealed,
    IntegrationState,
    Message,
    SyncCompleted,
    SyncRequested,
)
from contract.problems import Code
from contract.topics import CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS
from contract.tracing import tracing

from syncer import coverage, requests, states, store
from syncer.domain import Days, default_days, end_without_call, ended_at
from syncer.requests import Request
from syncer.targets import Target

log = structlog.get_logger()


AT_ONCE = 1000
"""Integrations for which a request for all is taken in one transaction: their rows are locked meanwhile."""


class Handlers:
    """Each handler is one transaction."""

    def __init__(
        self, database: Database, wake_worker: Callable[[], None], wake_healer: Callable[[], None] = lambda: None
    ) -> None:
        """Called after the commit: there may be windows to read, or days to heal."""
        self._database = database
        self._wake_worker = wake_worker
        self._wake_healer = wake_healer

    async def integration(self, event: Event[IntegrationState]) -> None:
        await self.integrations([event])

    async def integrations(self, events: Sequence[Event[Message]]) -> None:
        """Store the newest states, and queue what they make due: some in a transaction, so that none waits for many others."""
        announced = [
            (event.message, event.traceparent) for event in events if isinstance(event.message, IntegrationState)
        ]
        for portion in states.portions(announced):
            async with self._database.pipeline() as pipeline:
                changes = await states.store_all(pipeline, portion)
            if any(one.may_be_due for one in changes):
                self._wake_worker()
            if any(one.key_is_newer for one in changes):
                self._wake_healer()

    async def credential(self, event: Event[CredentialSealed | Tombstone]) -> None:
        await self.credentials([event])

    async def credentials(self, events: Sequence[Event[Message]]) -> None:
        """In one transaction: a rotation wraps all credentials again."""
        async with self._database.pipeline() as pipeline:
            for _, run in groupby((event.message for event in events), key=type):
                await _store_run(pipeline, list(run))
        ids = {event.message.integration_id for event in events if isinstance(event.message, CredentialSealed)}
        async with self._database.direct() as driver:  # what is committed between the two has its own wake
            if await store.have_open_windows(Pipeline(driver), ids):
                self._wake_worker()

    async def sync_requested(self, event: Event[SyncRequested]) -> None:
        await self.sync_requests([event])

    async def sync_requests(self, events: Sequence[Event[SyncRequested]]) -> None:
        """Take each request once: it joins a window, or opens one, for every integration that it is for.

        One transaction an integration: no window of it is read before all of its requests have joined.
        """
        for integration_id, some in _by_integration(events).items():
            if integration_id is None:
                for event in some:
                    with tracing(event.traceparent):
                        await self._take_for_all(event.message)
                continue
            async with self._database.pipeline() as pipeline:
                # Or it is left pending while the integration arrives.
                at, targets = await requests.lock(pipeline, integration_id)
                for event in some:
                    with tracing(event.traceparent):
                        await _take(pipeline, integration_id, event.message, at, targets)
            self._wake_worker()

    async def _take_for_all(self, message: SyncRequested) -> None:
        """In transactions of some integrations each: where it ends early, it continues with those that are left."""
        async with self._database.transaction() as connection:
            at = await store.now(connection)
            request, code = _request(message, at)
            if code is not None:
                REQUESTS_IGNORED.inc()
                log.warning("request.ignored", request_id=message.request_id, code=code.value)
                return
            ids = await requests.targets_of_all(connection, request)
        for first in range(0, len(ids), AT_ONCE):
            async with self._database.transaction() as connection:
                await requests.take_for_some(connection, request, ids[first : first + AT_ONCE], at)
            self._wake_worker()

    async def sync_completed(self, event: Event[SyncCompleted]) -> None:
        await self.sync_outcomes([event])

    async def sync_outcomes(self, events: Sequence[Event[Message]]) -> None:
        """Coverage is what the ledger confirmed."""
        completed = [event.message for event in events if isinstance(event.message, SyncCompleted)]
        async with self._database.pipeline() as pipeline:
            await store.serialize_all(pipeline, {one.integration_id for one in completed})  # or it survives an erase
            await coverage.confirm(pipeline, completed)


async def _store_run(pipeline: Pipeline, run: Sequence[Message]) -> None:
    """Messages of one type, in their order."""
    if sealed := [message for message in run if isinstance(message, CredentialSealed)]:
        await store.save_credentials(pipeline, sealed)
    for message in run:
        if isinstance(message, Tombstone):
            await store.drop_credential(pipeline, *_tombstone(message))


def _by_integration(events: Sequence[Event[SyncRequested]]) -> dict[UUID | None, list[Event[SyncRequested]]]:
    """In their order; None: for all."""
    found: dict[UUID | None, list[Event[SyncRequested]]] = {}
    for event in events:
        found.setdefault(event.message.integration_id, []).append(event)
    return found


async def _take(
    pipeline: Pipeline, integration_id: UUID, message: SyncRequested, at: datetime, targets: Sequence[Target]
) -> None:
    request, code = _request(message, at)
    if code is None:
        await requests.take_locked(pipeline, request, integration_id, at, targets)
    else:
        await requests.end(pipeline, request, integration_id, code, ended_at(message.requested_at, at))


def _request(message: SyncRequested, at: datetime) -> tuple[Request, Code | None]:
    """And the code with which it ends. The record's own time counts for nothing: clients set it as they like."""
    code = end_without_call(message.requested_at, at)
    days = _days(
        message, min(message.requested_at, at) if code else at
    )  # an expired one gets the same whenever it comes
    return Request(message.request_id, message.trigger, days, message.requested_at), code


def _days(message: SyncRequested, at: datetime) -> Days:
    if message.first_day and message.last_day:
        return Days(message.first_day, message.last_day)
    return default_days(at.date())


def _tombstone(tombstone: Tombstone) -> tuple[UUID, int]:
    try:
        return UUID(tombstone.key), int(tombstone.headers["credential_version"])
    except (ValueError, KeyError):
        raise MalformedError("tombstone_malformed", "the key is no UUID, or credential_version is no number") from None


HANDLERS: HandlerTable[Handlers] = {
    INTEGRATIONS: dict.fromkeys(INTEGRATION_STATES, Handlers.integration),
    CREDENTIALS: {CredentialSealed: Handlers.credential, Tombstone: Handlers.credential},
    SYNC_REQUESTS: {SyncRequested: Handlers.sync_requested},
    SYNC_OUTCOMES: {SyncCompleted: Handlers.sync_completed},
}
BATCH_HANDLERS: BatchTable[Handlers] = {
    INTEGRATIONS: Handlers.integrations,
    CREDENTIALS: Handlers.credentials,
    SYNC_REQUESTS: Handlers.sync_requests,
    SYNC_OUTCOMES: Handlers.sync_outcomes,
}
GATHERED = (SYNC_OUTCOMES,)
"""Only the healer, which waits longer, looks at what they change."""
