"""What must hold after every fault: all is read, shown, reconciled and finished once, and no key has leaked."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from contract.cloudevents import Event, MalformedError, decode
from contract.topics import COSTS, SYNC_OUTCOMES

from tests.faults.support.load import Load
from tests.support.secret_search import Canaries, Canary
from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.xai import Team

HEALED_WITHIN = 60.0
"""Seconds from a fault's end until the figures of all teams are right."""


@dataclass(frozen=True, slots=True)
class Healed:
    """What a fault has cost."""

    syncs: int
    """Requests that were accepted since the last proof."""
    after: float
    """Seconds until everything was right."""
    redelivered: int
    """Records that the broker delivered to a service more than once."""
    lost: int
    """Days that differ from xAI's, and accepted requests without an outcome."""
    doubled: int
    """Accepted requests with more than one outcome."""


async def healed(load: Load) -> Healed:
    """Wait until the system is right again; fail unless nothing is lost and nothing is doubled."""
    began, syncs = time.monotonic(), len(load.accepted) - load.proven
    async with asyncio.timeout(HEALED_WITHIN):
        await asyncio.gather(*(_synced(load, *team) for team in load.teams))
        await _idle(load.client)
        wrong_days = await _wrong_days(load)
    after = time.monotonic() - began
    outcomes = await _outcomes(load)
    unfinished = [request_id for request_id, found in outcomes.items() if not found]
    doubled = [request_id for request_id, found in outcomes.items() if len(found) > 1]
    assert (wrong_days, unfinished, doubled) == ([], [], [])
    assert await _unreconciled(load) == []
    keys = Canaries(Canary(team.key.removeprefix("fake-key-")) for team, _ in load.teams)
    assert await load.traces.search(load.client, keys) == []
    load.proven = len(load.accepted)
    return Healed(syncs, after, load.traces.redelivered(), len(wrong_days) + len(unfinished), len(doubled))


async def _synced(load: Load, team: Team, integration_id: str) -> None:
    request_id = await until(lambda: load.force(team, integration_id))
    await load.client.ended(team, integration_id, request_id)


async def _idle(client: SystemClient) -> None:
    """Wait until no window is open and no record unhandled."""
    open_windows = "SELECT count(*) FROM syncer.windows WHERE closed_at IS NULL"
    await until(lambda: client.rows(open_windows), lambda rows: rows == [(0,)])
    await client.consumed("ledger", COSTS)
    await client.consumed("connector", SYNC_OUTCOMES)


async def _wrong_days(load: Load) -> list[tuple[str, date]]:
    """Days that are not shown as xAI reports them now, or not as covered."""
    today, client = datetime.now(UTC).date(), load.client
    first, wrong = today - timedelta(days=29), []
    for team, _ in load.teams:
        served, shown = await client.served(team, first, today), await client.shown(team, first, today)
        covered = {day["day"]: day["covered"] for day in await client.costs(team, first, today)}
        wrong += [(team.team_id, day) for day in served if served[day] != shown.get(day) or not covered.get(str(day))]
    return wrong


async def _unreconciled(load: Load) -> list[Any]:
    """Integrations with a newest reading that the ledger could not reconcile."""
    newest = """
        SELECT integration_id FROM (SELECT DISTINCT ON (integration_id) integration_id, reconciled FROM ledger.outcomes
            WHERE integration_id = ANY(%s::uuid[]) ORDER BY integration_id, observed_at DESC) newest
        WHERE NOT reconciled
    """
    return await load.client.rows(newest, [integration_id for _, integration_id in load.teams])


async def _outcomes(load: Load) -> dict[str, set[str]]:
    """The final outcomes of each accepted request; copies of an event, and events of one reading, count once."""
    outcomes: dict[str, set[str]] = {request_id: set() for request_id in load.accepted}
    for record in await load.client.records(SYNC_OUTCOMES.name):
        with suppress(MalformedError):  # a test's own poison
            event: Event[Any] = decode(record, SYNC_OUTCOMES)
            if getattr(event.message, "final", True):
                for request_id in outcomes.keys() & set(event.message.request_ids):
                    outcomes[request_id].add(str(getattr(event.message, "reading_id", event.event_id)))
    return outcomes
