"""`python -m syncer.operations.ask_xai`: what xAI says now, by label and as sums of days. Nothing is written or published."""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from common import logs
from common.crypto.envelopes import Opens
from common.crypto.keyring import LiveKeyring
from common.crypto.sealing import Opener
from common.database import Database, make_engine
from common.errors import name_of
from common.settings import DatabaseUrl, StartRefusedError, load
from contract.money import plain, total
from contract.problems import Code
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from xai_usage import client

from syncer import store
from syncer.domain import WINDOW_DAYS, Days, readable
from syncer.provider import Pacing, Provider, ReadError, Reading
from syncer.settings import XaiSettings
from syncer.store import Credential
from syncer.xai.calls import Xai
from syncer.xai.pacing import CallLimits

WAITS = 0.05
"""Seconds between two looks whether another call may be made."""

_CONNECTED = text("""
    SELECT integration_id, account_id, team_id, history_from FROM integrations
    WHERE NOT removed AND integration_id = coalesce(CAST(:id AS uuid), integration_id) ORDER BY account_id, integration_id
""")


class AskingSettings(XaiSettings):
    """What it takes to ask: the sealed keys, what opens them, and xAI."""

    database_url: DatabaseUrl


@dataclass(frozen=True, slots=True)
class Connected:
    """An integration that is there."""

    integration_id: UUID
    account_id: str
    team_id: str
    history_from: date


class Asking:
    """Asks about one integration after the other, as often as a running syncer would."""

    def __init__(self, database: Database, provider: Provider, pacing: Pacing) -> None:
        self._database = database
        self._provider = provider
        self._pacing = pacing

    async def all(self, since: date, integration_id: UUID | None) -> AsyncIterator[dict[str, Any]]:
        """What xAI says of each window of each integration, or, once and last of it, the code of why not; and the progress."""
        async with self._database.transaction() as connection:
            found = await _connected(connection, integration_id)
        for number, one in enumerate(found):
            yield {"progress": {"read": number, "total": len(found)}}
            async for said in self._of(one, since):
                yield {"asked": {"integration_id": str(one.integration_id), "account_id": one.account_id} | said}
        yield {"report": {"integrations": len(found)}}

    async def _of(self, one: Connected, since: date) -> AsyncIterator[dict[str, Any]]:
        async with self._database.transaction() as connection:
            at = await store.now(connection)
            credential = await store.load_credential(connection, one.integration_id)
        days = readable(Days(max(one.history_from, since), at.date()), at.date())
        if credential is None:
            yield {"code": Code.UNSEALABLE.value}
            return
        for window in _windows(days) if days else ():
            try:
                yield await self._window(one, credential, window, at)
            except ReadError as failed:
                self._pacing.record(one.team_id, failed, at)
                yield {"code": failed.code.value}
                return
            self._pacing.record(one.team_id, None, at)

    async def _window(self, one: Connected, credential: Credential, days: Days, at: datetime) -> dict[str, Any]:
        by_label, sums = [await self._read(one, credential, days, grouped=grouped) for grouped in (True, False)]
        return {
            "at": at.isoformat(),
            "cut": sorted(map(str, by_label.cut_days | sums.cut_days)),
            "days": {str(day): _texts(costs) for day, costs in by_label.days.items()},
            "sums": {str(day): plain(total(costs.values())) for day, costs in sums.days.items()},
        }

    async def _read(self, one: Connected, credential: Credential, days: Days, *, grouped: bool) -> Reading:
        while not self._pacing.may_claim() or self._pacing.wait(one.team_id):
            await asyncio.sleep(WAITS)
        return await self._provider.read(one.team_id, credential, days, grouped=grouped)


async def _connected(connection: AsyncConnection, integration_id: UUID | None) -> list[Connected]:
    rows = await connection.execute(_CONNECTED, {"id": integration_id})
    return [Connected(**row._mapping) for row in rows]  # noqa: SLF001 - a row's public mapping has this name


def _windows(days: Days) -> Iterator[Days]:
    first = days.first
    while first <= days.last:
        last = min(first + timedelta(days=WINDOW_DAYS - 1), days.last)
        yield Days(first, last)
        first = last + timedelta(days=1)


def _texts(costs: Mapping[str, Decimal]) -> dict[str, str]:
    return {label: plain(usd) for label, usd in costs.items()}


async def _run(settings: AskingSettings, opener: Opens, since: date, integration_id: UUID | None) -> None:
    async with AsyncExitStack() as stack:
        database = Database(make_engine(settings.database_url, schema="syncer"))
        stack.push_async_callback(database.close)
        xai = await stack.enter_async_context(client(settings.xai_base_url))
        asking = Asking(database, Xai(xai, opener), CallLimits(*settings.call_rates()))
        async for said in asking.all(since, integration_id):
            print(json.dumps(said), flush=True)  # noqa: T201 - this is what the program is for


def main() -> None:
    """Ask about the days since the one that the arguments name."""
    parser = argparse.ArgumentParser("python -m syncer.operations.ask_xai", description=__doc__)
    parser.add_argument("--since", type=date.fromisoformat, required=True, metavar="DAY")
    parser.add_argument("--integration", type=UUID)
    options = parser.parse_args()
    settings = load(AskingSettings)
    logs.configure("syncer", "ERROR", stream=sys.stderr)
    try:
        opener = Opener(LiveKeyring(settings.keyring_file), settings.environment)
        asyncio.run(_run(settings, opener, options.since, options.integration))
    except StartRefusedError as error:
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(f"{name_of(error)}: the database does not answer; check DATABASE_URL, and ask again")


if __name__ == "__main__":
    main()
