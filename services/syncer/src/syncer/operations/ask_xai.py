"""Ask xAI again for days that may be stored already, by label and as sums of days. Nothing is written or published."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from common.crypto.keyring import LiveKeyring
from common.crypto.sealing import Opener
from common.database import Database, make_engine
from common.replay import Progress, no_progress
from common.settings import DatabaseUrl
from contract.money import total
from contract.problems import Code
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from xai_usage import client

from syncer import store, teams
from syncer.domain import WINDOW_DAYS, Days, readable
from syncer.provider import READING_DEADLINE, Pacing, Provider, ReadError, Reading
from syncer.settings import XaiSettings
from syncer.store import Credential
from syncer.xai.calls import Xai
from syncer.xai.pacing import CallLimits

LEASE = timedelta(seconds=READING_DEADLINE)
"""Of a team: no syncer calls it meanwhile, nor after an operator's process died."""

_CONNECTED = text("""
    SELECT integration_id, account_id, team_id, greatest(history_from, beyond_xai_until + 1) AS history_from
    FROM integrations
    WHERE NOT removed AND integration_id = coalesce(CAST(:id AS uuid), integration_id) ORDER BY account_id, integration_id
""")


class AskSettings(XaiSettings):
    """What it takes to ask: the sealed keys, what opens them, and xAI."""

    database_url: DatabaseUrl


@dataclass(frozen=True, slots=True)
class WindowAnswer:
    """What xAI answers for one window of an integration, or why it was not asked."""

    integration_id: UUID
    account_id: str
    at: datetime
    """When xAI was asked."""
    code: Code | None = None
    """Why there is no answer; the integration's further windows were skipped."""
    days: Mapping[date, Mapping[str, Decimal]] = field(default_factory=dict)
    """US dollars by label."""
    sums: Mapping[date, Decimal] = field(default_factory=dict)
    """US dollars of each day, from a call of its own."""
    cut_days: frozenset[date] = frozenset()
    """Days of which xAI answers only a part."""


@dataclass(frozen=True, slots=True)
class Connected:
    """An integration that is not removed."""

    integration_id: UUID
    account_id: str
    team_id: str
    history_from: date


async def ask(
    settings: AskSettings, since: date, integration_id: UUID | None, progress: Progress = no_progress
) -> list[WindowAnswer]:
    """The answers for the readable days since `since`, of one integration or all. Raises StartRefusedError without a keyring."""
    opener = Opener(LiveKeyring(settings.keyring_file), settings.environment)
    async with AsyncExitStack() as stack:
        database = Database(make_engine(settings.database_url, schema="syncer"))
        stack.push_async_callback(database.close)
        http = await stack.enter_async_context(client(settings.xai_base_url, contact=settings.xai_contact))
        asking = Asking(database, Xai(http, opener), CallLimits(*settings.call_rates()))
        return [answer async for answer in asking.all(since, integration_id, progress)]


class Asking:
    """Asks about one integration after the other, as often as a running syncer would."""

    def __init__(self, database: Database, provider: Provider, pacing: Pacing) -> None:
        self._database = database
        self._provider = provider
        self._pacing = pacing

    async def all(
        self, since: date, integration_id: UUID | None, progress: Progress = no_progress
    ) -> AsyncIterator[WindowAnswer]:
        """The answer for each window; the last one of an integration may hold a code instead."""
        async with self._database.transaction() as connection:
            found = await _connected(connection, integration_id)
        for number, one in enumerate(found):
            progress(number, len(found))
            async for answer in self._of(one, since):
                yield answer

    async def _of(self, one: Connected, since: date) -> AsyncIterator[WindowAnswer]:
        async with self._database.transaction() as connection:
            at = await store.now(connection)
            credential = await store.load_credential(connection, one.integration_id)
        days = readable(Days(max(one.history_from, since), at.date()), at.date())
        if credential is None:
            yield WindowAnswer(one.integration_id, one.account_id, at, Code.KEY_UNAVAILABLE)
            return
        for window in _windows(days) if days else ():
            try:
                yield await self._window(one, credential, window, at)
            except ReadError as failed:
                self._pacing.record(one.team_id, failed, at)
                yield WindowAnswer(one.integration_id, one.account_id, at, failed.code)
                return
            self._pacing.record(one.team_id, None, at)

    async def _window(self, one: Connected, credential: Credential, days: Days, at: datetime) -> WindowAnswer:
        by_label, sums = [await self._read(one, credential, days, grouped=grouped) for grouped in (True, False)]
        return WindowAnswer(
            one.integration_id,
            one.account_id,
            at,
            days={day: {cost.label: cost.usd for cost in costs} for day, costs in by_label.days.items()},
            sums={day: total(cost.usd for cost in costs) for day, costs in sums.days.items()},
            cut_days=frozenset(by_label.cut_days | sums.cut_days),
        )

    async def _read(self, one: Connected, credential: Credential, days: Days, *, grouped: bool) -> Reading:
        while True:
            if self._pacing.may_claim():
                async with teams.leased(self._database, one.team_id, self._pacing.per_team, LEASE) as is_leased:
                    if is_leased and not self._pacing.wait():
                        self._pacing.note_claim()
                        return await self._provider.read(one.team_id, credential, days, grouped=grouped)
            await asyncio.sleep(teams.POLL_EVERY)


async def _connected(connection: AsyncConnection, integration_id: UUID | None) -> list[Connected]:
    rows = await connection.execute(_CONNECTED, {"id": integration_id})
    return [Connected(**row._mapping) for row in rows]  # noqa: SLF001 - a row's public mapping has this name


def _windows(days: Days) -> Iterator[Days]:
    first = days.first
    while first <= days.last:
        last = min(first + timedelta(days=WINDOW_DAYS - 1), days.last)
        yield Days(first, last)
        first = last + timedelta(days=1)
