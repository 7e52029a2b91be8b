"""Adding an integration: tested, sealed, and saved in one transaction; the row is its own announcement."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

from common.database import Database
from common.envelopes import Place, Seals
from common.fields import Plan
from common.problems import Code, ProblemError
from sqlalchemy.ext.asyncio import AsyncConnection

from connector import store
from connector.connection import ConnectionTest, Fails, Typed, malformed
from connector.domain import backfill_first, default_label
from connector.store import Integration


@dataclass(frozen=True, slots=True)
class Wish:
    """What a customer wants to be connected."""

    account_id: str
    typed: Typed
    plan: Plan
    label: str | None


class Adding:
    """`wake` tells the relay that a row runs ahead."""

    def __init__(self, database: Database, test: ConnectionTest, sealer: Seals, wake: Callable[[], None]) -> None:
        self._database = database
        self._test = test
        self._sealer = sealer
        self._wake = wake

    async def add(self, wish: Wish) -> Integration:
        """The integration; raises ProblemError where the team is connected already, or the test fails: nothing is saved then."""
        if wrong := malformed(wish.typed):  # Postgres itself takes no NUL
            raise refused(wrong)
        async with self._database.transaction() as connection:
            _refuse_a_second(await store.of_team(connection, wish.account_id, wish.typed.team_id))
        result = await self._test.run(wish.typed)
        if isinstance(result, Fails):
            raise refused(result)
        async with self._database.transaction() as connection:
            added = await self._save(connection, wish)
        self._wake()
        return added

    async def _save(self, connection: AsyncConnection, wish: Wish) -> Integration:
        at = await store.now(connection)
        former_plan = await store.lock_account(connection, wish.account_id, wish.plan)
        before = await store.of_team(connection, wish.account_id, wish.typed.team_id)
        _refuse_a_second(before)
        first = backfill_first(wish.plan, at.date())
        if former_plan is not wish.plan:
            await store.take_over_plan(connection, wish.account_id, first, at)
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
        envelope = self._sealer.seal(wish.typed.key, Place(wish.account_id, integration_id, credential_version))
        await store.save(connection, fields, envelope)
        return await _saved(connection, wish.account_id, integration_id)


async def _saved(connection: AsyncConnection, account_id: str, integration_id: UUID) -> Integration:
    added = await store.load(connection, account_id, integration_id)
    assert added is not None  # noqa: S101 - saved in this transaction
    return added


def _refuse_a_second(before: Integration | None) -> None:
    if before is not None and before.removed_at is None:
        raise ProblemError(Code.ALREADY_CONNECTED, integration_id=str(before.integration_id))


def refused(result: Fails) -> ProblemError:
    """The failed test as an HTTP problem."""
    headers = {"Retry-After": f"{result.retry_after:.0f}"} if result.retry_after else {}
    return ProblemError(result.code, result.detail, headers=headers, hints=list(result.hints))
