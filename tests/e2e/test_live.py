"""A screen follows an account over the real process: through a backfill, a crash and an orderly end, nothing is missed."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.system import SystemClient, Team
from tests.support.waiting import DEADLINE

Told = tuple[int | None, str, Any]
"""An event: number, kind, data."""


@asynccontextmanager
async def _following(
    world: SystemClient, team: Team, last_event_id: int | None = None
) -> AsyncIterator[AsyncIterator[Told]]:
    """The account's stream, once it has begun."""
    headers = {"Authorization": f"Bearer {world.address.token}"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = str(last_event_id)
    url = f"{world.address.connector_url}/v1/accounts/{team.account_id}/events"
    async with (
        asyncio.timeout(DEADLINE),
        httpx.AsyncClient(trust_env=False) as http,
        http.stream("GET", url, headers=headers, timeout=30) as answer,
    ):
        assert answer.status_code == 200
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith("retry: ")
        yield _told(lines)


async def _told(lines: AsyncIterator[str]) -> AsyncIterator[Told]:
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            yield int(fields["id"]) if "id" in fields else None, fields["event"], json.loads(fields["data"])
            fields = {}


async def _until(told: AsyncIterator[Told], enough: Callable[[Told], bool]) -> list[Told]:
    found = []
    async for one in told:
        found.append(one)
        if enough(one):
            return found
    raise AssertionError(f"the stream ended after {found}")


def _is_active(one: Told) -> bool:
    return one[1] == "integration" and one[2]["status"] == "active"


async def test_a_screen_sees_a_team_added_filled_in_and_active(world: SystemClient) -> None:
    team = await world.team()
    async with _following(world, team) as told:
        assert await anext(told) == (0, "present", {"integration_ids": []})
        integration_id = await world.add(team, "pro")
        heard = await _until(told, _is_active)

    assert [number for number, _, _ in heard] == list(range(1, len(heard) + 1))
    states = [data for _, kind, data in heard if kind == "integration"]
    assert {one["status"] for one in states[:-1]} == {"backfilling"}
    days_read = [one["backfill"]["days_read"] for one in states]
    assert (days_read[0], days_read[-1], days_read) == (0, 90, sorted(days_read))
    lines = [data for _, kind, data in heard if kind == "sync"]
    assert [one["trigger"] for one in lines].count("backfill") == 3
    shown = [{"integration_id": integration_id} | one for one in await world.syncs(team, integration_id)]
    assert all(line in shown for line in lines)


async def test_a_connector_that_is_killed_costs_a_screen_no_event(world: SystemClient) -> None:
    team = await world.team(delay_ms=300)
    pid = world.pid("connector")
    async with _following(world, team) as told:
        await anext(told)
        await world.add(team, "pro")
        before = [await anext(told)]
        os.kill(pid, signal.SIGKILL)
        before += await _rest(told)

    await _is_back(world, pid)
    async with _following(world, team, before[-1][0]) as told:
        after = await _until(told, _is_active)
    async with _following(world, team, 0) as told:
        whole = await _until(told, _is_active)

    assert before + after == whole
    assert [number for number, _, _ in whole] == list(range(1, len(whole) + 1))


async def _rest(told: AsyncIterator[Told]) -> list[Told]:
    """What still comes before the connection breaks."""
    found = []
    try:
        async for one in told:
            found.append(one)  # noqa: PERF401 - what came before the error counts
    except httpx.TransportError:
        return found
    raise AssertionError("the stream ended as if all were well")


async def test_open_streams_end_at_once_when_the_connector_is_stopped(world: SystemClient) -> None:
    pid = world.pid("connector")
    opened: asyncio.Queue[None] = asyncio.Queue()

    async def follow(team: Team) -> None:
        async with _following(world, team) as told:
            await anext(told)
            opened.put_nowait(None)
            assert [one async for one in told] == []

    streams = [asyncio.create_task(follow(await world.team())) for _ in range(5)]
    for _ in streams:
        await opened.get()

    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    await asyncio.gather(*streams)
    await _is_back(world, pid)

    assert time.monotonic() - began < 8, "uvicorn waits 10 s for connections that stay open"


async def _is_back(world: SystemClient, pid: int) -> None:
    await world.replaced("connector", pid)
    await world.connector_answers()
