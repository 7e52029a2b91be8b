"""Every change of an integration, by HTTP and by command alike. Each row is its own outbox: the relay is woken."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID, uuid4

from common.crypto.envelopes import Binding, Seals
from common.database import Cursor, Database, Pipeline
from contract.fields import History, Plan, Status
from contract.problems import Code, ProblemError
from contract.rules import backfill_from, readable_from
from contract.tracing import traceparent
from pydantic import SecretStr

from connector import health, store, syncs
from connector.connection_check import ConnectionTest, Credentials, Failed, malformed
from connector.domain import default_label, health_with_new_key
from connector.events import event_log
from connector.store import Integration
from connector.syncs import Progress

InTransaction = Callable[[Pipeline, UUID | None], Awaitable[None]]
"""The rest of a change's transaction, called with the integration's ID: it commits with the change, or not at all."""


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """A team to connect."""

    account_id: str
    credentials: Credentials
    plan: Plan | None
    """None: the account's."""
    label: str | None


async def nothing_more(_pipeline: Pipeline, _integration_id: UUID | None) -> None:
    """The change is the whole transaction."""


class Integrations:
    """Each change is one transaction; raises ProblemError where it is rejected. `wake` wakes the relay."""

    def __init__(self, database: Database, test: ConnectionTest, sealer: Seals, wake: Callable[[], None]) -> None:
        self._database = database
        self._test = test
        self._sealer = sealer
        self._wake = wake

    async def add(self, request: ConnectRequest, in_transaction: InTransaction = nothing_more) -> Integration:
        """Connect a team after a test; a team that was removed with its history kept returns under its former ID."""
        if failed := malformed(request.credentials):  # Postgres itself takes no NUL
            raise problem_of(failed)
        async with self._database.direct() as driver:
            found = await store.find_by_team(Pipeline(driver), request.account_id, request.credentials.team_id)
            _ensure_not_connected(await store.found(found))
        await self._ensure_passes(request.credentials)
        async with self._change() as pipeline:
            added = await self._save(pipeline, request)
            await event_log.append(pipeline, [event_log.of_state(Progress(added))])
            await in_transaction(pipeline, added.integration_id)
            return added

    async def replace_credential(
        self, account_id: str, integration_id: UUID, key: str, in_transaction: InTransaction = nothing_more
    ) -> Integration:
        """Replace the key, after a test; the history stays, and an error of the former key is cleared."""
        async with self._database.direct() as driver:
            before = await get_or_404(Pipeline(driver), account_id, integration_id)
        ensure_no_duplicate(before)
        credentials = Credentials(team_id=before.team_id, management_key=SecretStr(key))
        await self._ensure_passes(credentials)
        async with self._change() as pipeline:
            before = await get_or_404(pipeline, account_id, integration_id, lock=True)
            today = (await store.now(pipeline)).date()
            await self._replace_credential(pipeline, before, credentials.key, today)
            await event_log.record_change(pipeline, integration_id)
            replaced = await get_or_404(pipeline, account_id, integration_id)
            await in_transaction(pipeline, integration_id)
            return replaced

    async def rename(
        self, account_id: str, integration_id: UUID, label: str, in_transaction: InTransaction = nothing_more
    ) -> Integration:
        async with self._change() as pipeline:
            before = await get_or_404(pipeline, account_id, integration_id, lock=True)
            if before.label != label:
                await store.rename(pipeline, integration_id, label)
                await event_log.record_change(pipeline, integration_id)
            renamed = await get_or_404(pipeline, account_id, integration_id)
            await in_transaction(pipeline, integration_id)
            return renamed

    async def change_plan(self, account_id: str, plan: Plan, in_transaction: InTransaction = nothing_more) -> None:
        """Set the account's plan: a larger one fills in more history, a smaller one hides and stops nothing."""
        async with self._change() as pipeline:
            await _apply_plan(pipeline, account_id, await store.set_plan(pipeline, account_id, plan))
            await in_transaction(pipeline, None)

    async def remove(
        self, account_id: str, integration_id: UUID, history: History, in_transaction: InTransaction = nothing_more
    ) -> None:
        """End calls and delete the sealed key; the costs are kept or erased. What was kept can be erased later."""
        async with self._change() as pipeline:
            await store.lock_account(pipeline, account_id)
            if not await store.remove(pipeline, account_id, integration_id, history):
                raise ProblemError(Code.NOT_FOUND)
            if history is History.ERASE:
                await syncs.erase(pipeline, integration_id)
                await event_log.erase(pipeline, account_id, integration_id)
            await event_log.record_change(pipeline, integration_id)
            await in_transaction(pipeline, integration_id)

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[Pipeline]:
        """A transaction; the relay is woken after its commit."""
        async with self._database.pipeline() as pipeline:
            yield pipeline
        self._wake()

    async def _ensure_passes(self, credentials: Credentials) -> None:
        result = await self._test.run(credentials)
        if isinstance(result, Failed):
            raise problem_of(result)

    async def _save(self, pipeline: Pipeline, request: ConnectRequest) -> Integration:
        account_id, team_id = request.account_id, request.credentials.team_id
        setting = await store.set_plan(pipeline, account_id, request.plan)
        # Both are sent with it: a new plan changes no label, and nothing of an integration that returns.
        finding = await store.find_by_team(pipeline, account_id, team_id)
        labels = None if request.label else await store.labels(pipeline, account_id)
        plan, at = await _apply_plan(pipeline, account_id, setting)
        before = await store.found(finding)
        _ensure_not_connected(before)
        taken = {row["label"] async for row in labels} if labels else set[str]()
        first = backfill_from(plan, at.date())
        integration_id = before.integration_id if before else uuid4()
        credential_version = before.credential_version + 1 if before else 1
        binding = Binding(account_id, integration_id, credential_version)
        added = Integration(
            integration_id=integration_id,
            account_id=account_id,
            team_id=team_id,
            label=request.label or default_label(team_id, taken),
            plan=plan,
            status=Status.BACKFILLING,
            status_code=None,
            status_since=at,
            version=before.version + 1 if before else 1,
            credential_version=credential_version,
            wrap_version=1,
            envelope=self._sealer.seal(request.credentials.key, binding),
            history=None,
            history_from=min(before.history_from, first) if before else first,
            backfill_first=first,
            backfill_last=at.date(),
            beyond_xai_until=None,
            added_at=at,
            removed_at=None,
            changed_at=at,
            observed_at=None,
            duplicate_of=None,
        )
        await store.save(pipeline, added)
        return added

    async def _replace_credential(self, pipeline: Pipeline, before: Integration, key: str, today: date) -> None:
        binding = Binding(before.account_id, before.integration_id, before.credential_version + 1)
        envelope = self._sealer.seal(key, binding)
        filled_in = await syncs.filled_in(pipeline, [(before, readable_from(today))])
        new = health_with_new_key(before.status_code, filled_in=before.integration_id in filled_in)
        await store.replace_credential(pipeline, before.integration_id, envelope)
        await health.set_health(pipeline, {before.integration_id: (new, traceparent.get())})


async def get_or_404(pipeline: Pipeline, account_id: str, integration_id: UUID, *, lock: bool = False) -> Integration:
    """The account's integration, unless it was removed; raises ProblemError (`not_found`)."""
    integration = await store.load(pipeline, account_id, integration_id, lock=lock)
    if integration is None:
        raise ProblemError(Code.NOT_FOUND)
    return integration


async def _apply_plan(pipeline: Pipeline, account_id: str, setting: Cursor) -> tuple[Plan, datetime]:
    """What follows `set_plan`; returns the account's plan, and the instant of the change."""
    former, plan, at = await store.plan_set(setting)
    if former is not plan:
        await store.apply_plan(pipeline, account_id, backfill_from(plan, at.date()), at)
        await event_log.record_account_change(pipeline, account_id)
    return plan, at


def _ensure_not_connected(before: Integration | None) -> None:
    if before is not None and before.removed_at is None:
        raise ProblemError(Code.ALREADY_CONNECTED, integration_id=str(before.integration_id))


def ensure_no_duplicate(integration: Integration) -> None:
    """A second integration of a team gets neither a key nor a sync; raises ProblemError (`already_connected`)."""
    if integration.duplicate_of is not None:
        raise ProblemError(Code.ALREADY_CONNECTED, integration_id=str(integration.duplicate_of))


def problem_of(failed: Failed) -> ProblemError:
    """The failed test as a problem."""
    headers = {"Retry-After": f"{failed.retry_after:.0f}"} if failed.retry_after else {}
    return ProblemError(failed.code, failed.detail, headers=headers, hints=list(failed.hints))
