"""What the outcomes of syncs mean for their integrations, many at once. Callers own the transaction.

The result is that of one outcome after another: where several are of one integration, they are handled in their order.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from common.database import Pipeline
from contract.cloudevents import Event
from contract.fields import Status, Trigger
from contract.messages import SyncCompleted
from contract.problems import Code
from contract.rules import readable_from
from contract.tracing import tracing

from connector import health, syncs
from connector.domain import DUPLICATE, HEALS_BEFORE_ALARM, Health, Outcome, beyond_after, health_after, history_behind
from connector.events import event_log
from connector.health import LockedIntegration
from connector.store import Integration
from connector.syncs import Sync, SyncOutcome


@dataclass(frozen=True, slots=True)
class _Case:
    """An outcome with a call of xAI, and its integration."""

    event: Event[SyncOutcome]
    before: LockedIntegration
    known: Integration
    """The integration, with the days that xAI refuses according to the outcome."""
    observed_at: datetime
    is_newest: bool

    @property
    def integration_id(self) -> UUID:
        return self.known.integration_id

    @property
    def sets_health(self) -> bool:
        """The newest outcome does; an older one can still be the last missing piece of the backfill.

        Outcomes of the same instant are of one reading, which the ledger may reconcile again.
        """
        outcome, integration = self.event.message, self.before.integration
        if isinstance(outcome, SyncCompleted):
            is_older = integration.observed_at is not None and self.observed_at < integration.observed_at
            return not (is_older and integration.status_code is not None)
        return self.is_newest or (outcome.code is Code.OUT_OF_RANGE and integration.status_code is None)

    @property
    def fills_in(self) -> bool:
        """Days that xAI refuses although it reports newer ones are no failure of the key."""
        outcome = self.event.message
        return isinstance(outcome, SyncCompleted) or outcome.code is Code.OUT_OF_RANGE

    @property
    def is_filled_in(self) -> bool:
        """Of an active integration every day of the backfill has been confirmed, and days are never unread."""
        return self.known.status is Status.ACTIVE and self.known == self.before.integration

    @property
    def has_open_heals(self) -> bool:
        outcome = self.event.message
        is_open = isinstance(outcome, SyncCompleted) and outcome.trigger is Trigger.HEAL and not outcome.reconciled
        return isinstance(outcome, SyncCompleted) and (is_open or self.before.has_open_heals)

    @property
    def readable_from(self) -> date:
        """First day that xAI answered at the newest outcome; of a failure, at this one."""
        newest = self.observed_at
        if isinstance(self.event.message, SyncCompleted):
            newest = max(newest, self.before.integration.observed_at or newest)
        return readable_from(newest.date())


async def apply(pipeline: Pipeline, events: Sequence[Event[SyncOutcome]]) -> bool:
    """Store outcomes and what they change; returns whether an integration has a new version."""
    ours = [event for event in events if event.message.account_id is not None]
    account_ids = {event.message.account_id or "" for event in ours}
    return any([await _apply(pipeline, account_ids, some) for some in _rounds(ours)])


def _rounds(events: Sequence[Event[SyncOutcome]]) -> list[list[Event[SyncOutcome]]]:
    """In their order, with at most one of an integration in each round."""
    rounds: list[list[Event[SyncOutcome]]] = []
    count = Counter[UUID]()
    for event in events:
        number = count[event.message.integration_id]
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(event)
        count[event.message.integration_id] += 1
    return rounds


async def _apply(pipeline: Pipeline, account_ids: AbstractSet[str], events: Sequence[Event[SyncOutcome]]) -> bool:
    locked, recorded = await _record(pipeline, account_ids, events)
    cases = []
    for event in events:
        before, observed_at = locked.get(event.message.integration_id), event.message.observed_at
        if before is not None and observed_at is not None:  # a failure without a call of xAI is history only
            cases.append(await _case(pipeline, event, before, observed_at))
    healths = await _healths(pipeline, [case for case in cases if case.sets_health])
    await health.set_health(pipeline, healths)
    announced = {case.integration_id for case in cases if case.known != case.before.integration} | set(healths)
    await _log(pipeline, events, recorded, cases, announced)
    return bool(announced)


async def _record(
    pipeline: Pipeline, account_ids: AbstractSet[str], events: Sequence[Event[SyncOutcome]]
) -> tuple[Mapping[UUID, LockedIntegration], Mapping[UUID, Sync]]:
    """Store the outcomes; answers their integrations as they were, locked, and the new lines of the history."""
    accounts = {one.message.integration_id: one.message.account_id or "" for one in events}
    observed = [
        (one.message.integration_id, one.message.account_id or "", one.message.observed_at)
        for one in events
        if one.message.observed_at is not None
    ]
    lines = {event.message.integration_id: syncs.sync_of(event) for event in events}
    await health.lock_accounts(pipeline, account_ids)
    before = await health.lock(pipeline, accounts)
    recorded = await syncs.record(pipeline, lines, events)
    if observed:
        await health.advance_observed_at(pipeline, observed)
    return await health.locked(before), {row["integration_id"]: lines[row["integration_id"]] async for row in recorded}


async def _case(
    pipeline: Pipeline, event: Event[SyncOutcome], before: LockedIntegration, observed_at: datetime
) -> _Case:
    integration = before.integration
    is_newest = integration.observed_at is None or integration.observed_at < observed_at
    known = await _known(pipeline, integration, event.message, is_newest=is_newest)
    if known != integration:
        with tracing(event.traceparent):
            await health.set_beyond(pipeline, known)
    return _Case(event, before, known, observed_at, is_newest)


async def _known(pipeline: Pipeline, integration: Integration, outcome: SyncOutcome, *, is_newest: bool) -> Integration:
    """The integration, with the day up to which xAI refuses to report; its history begins later where none of it was read."""
    beyond = integration.beyond_xai_until
    if isinstance(outcome, SyncCompleted):
        until = beyond_after(beyond, outcome.first_day, outcome.beyond_xai_until, newest=is_newest)
    elif outcome.code is Code.OUT_OF_RANGE:
        until = max(filter(None, (beyond, outcome.last_day)), default=None)
    else:
        return integration
    history_from = integration.history_from
    if until and history_from >= integration.backfill_first:  # what an earlier backfill read is not known any more
        first_read = await syncs.first_read(pipeline, integration.integration_id)
        history_from = history_behind(history_from, until, first_read)
    first = max(integration.backfill_first, history_from)
    return replace(integration, beyond_xai_until=until, history_from=history_from, backfill_first=first)


async def _healths(pipeline: Pipeline, cases: Sequence[_Case]) -> dict[UUID, tuple[Health, str | None]]:
    """The new health of each integration that gets one, and the trace of what changed it."""
    healed = {case.integration_id: case.readable_from for case in cases if case.has_open_heals}
    stuck = await syncs.unhealed(pipeline, HEALS_BEFORE_ALARM, healed)
    filled_in = {case.integration_id for case in cases if case.is_filled_in} | await syncs.filled_in(
        pipeline, [(case.known, case.readable_from) for case in cases if case.fills_in and not case.is_filled_in]
    )
    healths = {}
    for case in cases:
        before = Health(case.known.status, case.known.status_code)
        outcome = _outcome(case, is_stuck=case.integration_id in stuck)
        version, is_filled_in = case.known.credential_version, case.integration_id in filled_in
        after = health_after(before, outcome, version, filled_in=is_filled_in)
        if case.known.duplicate_of is not None:
            after = DUPLICATE
        if after != before:
            healths[case.integration_id] = (after, case.event.traceparent)
    return healths


def _outcome(case: _Case, *, is_stuck: bool) -> Outcome:
    message = case.event.message
    if isinstance(message, SyncCompleted):
        return Outcome(Code.NOT_RECONCILED if is_stuck else None, is_stuck, message.credential_version)
    code = None if case.fills_in else message.code
    return Outcome(code, message.final, message.credential_version or 0)


async def _log(
    pipeline: Pipeline,
    events: Sequence[Event[SyncOutcome]],
    recorded: Mapping[UUID, Sync],
    cases: Sequence[_Case],
    announced: AbstractSet[UUID],
) -> None:
    """Append the new lines of the history, and the state of each integration where a screen shows something else now."""
    shown = announced | {case.integration_id for case in cases if _shows_progress(case, recorded)}
    asked = {case.integration_id: case.before.questioned for case in cases if _may_change_questions(case)}
    progress = await syncs.progress(pipeline, shown | set(asked))
    shown |= {one for one, questioned in asked.items() if progress[one].questioned != questioned}
    new = []
    for event in events:
        integration_id = event.message.integration_id
        if sync := recorded.get(integration_id):
            new.append(event_log.of_sync(event.message.account_id or "", integration_id, sync))
        if integration_id in shown:
            new.append(event_log.of_state(progress[integration_id]))
    await event_log.append(pipeline, new)


def _shows_progress(case: _Case, recorded: Mapping[UUID, Sync]) -> bool:
    is_new = case.integration_id in recorded
    return isinstance(case.event.message, SyncCompleted) and is_new and case.known.status is not Status.ACTIVE


def _may_change_questions(case: _Case) -> bool:
    """Only a day that is asked about, or that the outcome asks about, can be another one afterwards."""
    return bool(case.before.questioned or syncs.questioned_in(case.event.message))
