"""What the announced states of integrations change, and make due. Callers own the transaction."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.database import Pipeline
from contract.fields import History, Trigger
from contract.messages import IntegrationState
from contract.problems import Code
from contract.tracing import tracing

from syncer import coverage, questions, requests, store
from syncer.domain import backfill, default_days, makes_no_calls
from syncer.requests import Request
from syncer.targets import Target
from syncer.windows import close_windows

AT_ONCE = 16
"""States of a transaction, at most: what the first one makes due waits for the last one."""

Announced = tuple[IntegrationState, str | None]
"""A state, and the trace in which it was announced."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a state did."""

    may_be_due: bool = False
    """Windows of the integration may be."""
    key_is_newer: bool = False


def portions(announced: Iterable[Announced]) -> Iterator[list[Announced]]:
    """In their order, AT_ONCE at most, with at most one of an integration."""
    portion: dict[UUID, Announced] = {}
    for state, trace in announced:
        if state.integration_id in portion or len(portion) == AT_ONCE:
            yield list(portion.values())
            portion = {}
        portion[state.integration_id] = state, trace
    if portion:
        yield list(portion.values())


async def store_all(pipeline: Pipeline, announced: Sequence[Announced]) -> list[Change]:
    """Store each state that is newer than the stored one, and queue what it makes due; at most one of an integration."""
    ids = [state.integration_id for state, _ in announced]
    serializing = await store.serialize_all(pipeline, ids)
    locking, finding = await store.lock_integrations(pipeline, ids), await requests.pending(pipeline, ids)
    at, before = await store.instant_of(serializing), await store.integrations_of(locking)
    pending = await requests.pending_of(finding)
    changes = []
    for state, trace in announced:
        id_ = state.integration_id
        with tracing(trace):
            changes.append(await _store(pipeline, state, before.get(id_), pending.get(id_, ()), at))
    return changes


async def _store(
    pipeline: Pipeline,
    state: IntegrationState,
    before: store.Integration | None,
    pending: Iterable[Request],
    at: datetime,
) -> Change:
    id_, now_removed = state.integration_id, makes_no_calls(state)
    # A removal can be of an equal version, where a former release could not see it.
    if before is not None and (before.version, before.removed) >= (state.version, now_removed):
        return Change()
    key_is_newer = before is not None and state.credential_version > before.credential_version
    await store.save_integration(pipeline, state)
    if now_removed:
        await _remove(pipeline, state, at)
    elif key_is_newer:
        await store.clear_refusal(pipeline, id_)
    refusal = before.refusal if before is not None and not key_is_newer else None
    target = Target(id_, state.account_id, now_removed, refusal)
    due = [*([] if now_removed else _due(before, state, at)), *pending]
    for request in due:
        await requests.take_locked(pipeline, request, id_, at, [target])
    return Change(bool(due) or now_removed or key_is_newer, key_is_newer)


async def _remove(pipeline: Pipeline, state: IntegrationState, at: datetime) -> None:
    await store.drop_credential(pipeline, state.integration_id, state.credential_version)
    await close_windows(pipeline, Code.NOT_FOUND, at, integration_id=state.integration_id)
    await questions.drop(pipeline, state.integration_id)
    if state.history is History.ERASE:
        await coverage.erase(pipeline, state.integration_id)
        await questions.erase(pipeline, state.integration_id)


def _due(before: store.Integration | None, state: IntegrationState, at: datetime) -> list[Request]:
    """What is to be read because of the state."""
    today = at.date()
    if before is None or before.removed or state.history_from < before.history_from:
        prefix = f"backfill:{state.integration_id}:{state.version}"
        return [Request(f"{prefix}:{days.first}", Trigger.BACKFILL, days) for days in backfill(state.plan, today)]
    if state.credential_version > before.credential_version:
        request_id = f"credential:{state.integration_id}:{state.credential_version}"
        return [Request(request_id, Trigger.DAILY, default_days(today))]
    return []
