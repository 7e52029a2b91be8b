"""What can be done to an integration, by HTTP and by command alike. Its row is its own announcement: the relay is only woken."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

from common.crypto.envelopes import Binding, Seals
from common.database import Database
from contract.fields import History, Plan
from contract.problems import Code, ProblemError
from sqlalchemy.ext.asyncio import AsyncConnection

from connector import store, syncs
from connector.connection_check import ConnectionTest, Fails, Typed, malformed
from connector.domain import backfill_first, default_label, health_with_new_key, readable_from
from connector.events import event_log
from connector.store import Integration

Note = Callable[[AsyncConnection, UUID | None], Awaitable[None]]
"""Called inside the transaction of a change, with the integration's ID: what is kept together with it, or not at all."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a customer wants to be connected."""

    account_id: str
    typed: Typed
    plan: Plan
    label: str | None


async def unnoted(_connection: AsyncConnection, _integration_id: UUID | None) -> None:
    """Nothing is kept beside the change."""


class Life:
    """Each change is one transaction; raises ProblemError where it is not made. `wake` tells the relay that a row runs ahead."""

    def __init__(self, database: Database, test: ConnectionTest, sealer: Seals, wake: Callable[[], None]) -> None:
        self._database = database
        self._test = test
        self._sealer = sealer
        self._wake = wake

    async def add(self, wish: Wish, note: Note = unnoted) -> Integration:
        """Connect a team, tested first; a team that was removed with its history kept comes back under its old ID."""
        if wrong := malformed(wish.typed):  # Postgres itself takes no NUL
            raise refused(wrong)
        async with self._database.transaction() as connection:
            _refuse_a_second(await store.of_team(connection, wish.account_id, wish.typed.team_id))
        await self._passes(wish.typed)
        async with self._database.transaction() as connection:
            added = await self._save(connection, wish)
            await event_log.note_change(connection, added.integration_id)
            await note(connection, added.integration_id)
        self._wake()
        return added

    async def replace(self, account_id: str, integration_id: UUID, key: str, note: Note = unnoted) -> Integration:
        """Give the integration another key, tested first; its history stays, and what was in error goes back to work."""
        async with self._database.transaction() as connection:
            before = await found(connection, account_id, integration_id)
        await self._passes(Typed(before.team_id, key))
        async with self._database.transaction() as connection:
            before = await found(connection, account_id, integration_id, lock=True)
            await self._exchange(connection, before, key)
            await event_log.note_change(connection, integration_id)
            await note(connection, integration_id)
            replaced = await found(connection, account_id, integration_id)
        self._wake()
        return replaced

    async def rename(self, account_id: str, integration_id: UUID, label: str, note: Note = unnoted) -> Integration:
        """Call the integration `label`."""
        async with self._database.transaction() as connection:
            before = await found(connection, account_id, integration_id, lock=True)
            if before.label != label:
                await store.rename(connection, integration_id, label)
                await event_log.note_change(connection, integration_id)
            await note(connection, integration_id)
            renamed = await found(connection, account_id, integration_id)
        self._wake()
        return renamed

    async def change_plan(self, account_id: str, plan: Plan, note: Note = unnoted) -> None:
        """Put the account on `plan`: growing fills in more history, shrinking hides nothing and stops nothing."""
        async with self._database.transaction() as connection:
            await _take_over(connection, account_id, plan)
            await note(connection, None)
        self._wake()

    async def remove(self, account_id: str, integration_id: UUID, kept: History, note: Note = unnoted) -> None:
        """End the integration: calls stop, its sealed key is forgotten; its costs stay, or go. What was kept can go later."""
        async with self._database.transaction() as connection:
            await store.hold_account(connection, account_id)
            if not await store.remove(connection, account_id, integration_id, kept):
                raise ProblemError(Code.NOT_FOUND)
            if kept is History.ERASE:
                await syncs.erase(connection, integration_id)
                await event_log.erase(connection, account_id, integration_id)
            await event_log.note_change(connection, integration_id)
            await note(connection, integration_id)
        self._wake()

    async def _passes(self, typed: Typed) -> None:
        result = await self._test.run(typed)
        if isinstance(result, Fails):
            raise refused(result)

    async def _save(self, connection: AsyncConnection, wish: Wish) -> Integration:
        await _take_over(connection, wish.account_id, wish.plan)
        at = await store.now(connection)
        before = await store.of_team(connection, wish.account_id, wish.typed.team_id)
        _refuse_a_second(before)
        first = backfill_first(wish.plan, at.date())
        integration_id = before.integration_id if before else uuid4()
        credential_version = before.credential_version + 1 if before else 1
        fields = {
            "integration_id": integration_id,
            "account_id": wish.account_id,
            "team_id": wish.typed.team_id,
            "label": wish.label or default_label(wish.typed.team_id, await store.labels(connection, wish.account_id)),
            "version": before.version + 1 if before else 1,
            "credential_version": credential_version,
            "history_from": min(before.history_from, first) if before else first,
            "backfill_first": first,
            "backfill_last": at.date(),
            "now": at,
        }
        envelope = self._sealer.seal(wish.typed.key, Binding(wish.account_id, integration_id, credential_version))
        await store.save(connection, fields, envelope)
        return await found(connection, wish.account_id, integration_id)

    async def _exchange(self, connection: AsyncConnection, before: Integration, key: str) -> None:
        version = before.credential_version + 1
        envelope = self._sealer.seal(key, Binding(before.account_id, before.integration_id, version))
        at = await store.now(connection)
        filled_in = await syncs.filled_in(connection, before, readable_from(at.date()))
        health = health_with_new_key(before.status_code, filled_in=filled_in)
        await store.replace_credential(connection, before.integration_id, envelope)
        await store.set_health(connection, before.integration_id, health.status, health.code)


async def found(
    connection: AsyncConnection, account_id: str, integration_id: UUID, *, lock: bool = False
) -> Integration:
    """The account's integration, unless it was removed; raises ProblemError (`not_found`)."""
    integration = await store.load(connection, account_id, integration_id, lock=lock)
    if integration is None:
        raise ProblemError(Code.NOT_FOUND)
    return integration


async def _take_over(connection: AsyncConnection, account_id: str, plan: Plan) -> None:
    if await store.lock_account(connection, account_id, plan) is not plan:
        at = await store.now(connection)
        await store.take_over_plan(connection, account_id, backfill_first(plan, at.date()), at)
        await event_log.note_changes(connection, account_id)


def _refuse_a_second(before: Integration | None) -> None:
    if before is not None and before.removed_at is None:
        raise ProblemError(Code.ALREADY_CONNECTED, integration_id=str(before.integration_id))


def refused(result: Fails) -> ProblemError:
    """The failed test as a problem."""
    headers = {"Retry-After": f"{result.retry_after:.0f}"} if result.retry_after else {}
    return ProblemError(result.code, result.detail, headers=headers, hints=list(result.hints))
