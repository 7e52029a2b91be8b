"""A screen follows an account over the real process: a backfill, a crash and a stop cost it no event."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.system import SystemClient
from tests.support.waiting import DEADLINE, until
from tests.support.xai import Team

SseEvent = tuple[int | None, str, Any]
"""Number, kind, data."""


@asynccontextmanager
async def _following(
    client: SystemClient, team: Team, last_event_id: int | None = None
) -> AsyncIterator[AsyncIterator[SseEvent]]:
    """The account's stream, once it has begun."""
    headers = {"Authorization": f"Bearer {client.address.token}"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = str(last_event_id)
    url = f"{client.address.connector_url}/v1/accounts/{team.account_id}/events"
    async with (
        asyncio.timeout(DEADLINE),
        httpx.AsyncClient(trust_env=False) as http,
        http.stream("GET", url, headers=headers, timeout=30) as answer,
    ):
        assert answer.status_code == 200
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith("retry: ")
        yield _events(lines)


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[SseEvent]:
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            yield int(fields["id"]) if "id" in fields else None, fields["event"], json.loads(fields["data"])
            fields = {}


async def _until(events: AsyncIterator[SseEvent], enough: Callable[[SseEvent], bool]) -> list[SseEvent]:
    found = []
    async for one in events:
        found.append(one)
        if enough(one):
            return found
    raise AssertionError(f"the stream ended after {found}")


def _is_active(event: SseEvent) -> bool:
    return event[1] == "integration" and event[2]["status"] == "active"


async def test_a_screen_sees_a_team_added_filled_in_and_active(client: SystemClient) -> None:
    team = await client.team()
    async with _following(client, team) as events:
        assert await anext(events) == (0, "present", {"event": "present", "integration_ids": []})
        integration_id = await client.add(team, "pro")
        seen = await _until(events, _is_active)

    assert [number for number, _, _ in seen] == list(range(1, len(seen) + 1))
    states = [data for _, kind, data in seen if kind == "integration"]
    assert {one["status"] for one in states[:-1]} == {"backfilling"}
    days_read = [one["backfill"]["days_read"] for one in states]
    assert (days_read[0], days_read[-1], days_read) == (0, 90, sorted(days_read))
    lines = [data for _, kind, data in seen if kind == "sync"]
    assert [one["trigger"] for one in lines].count("backfill") == 3
    shown = [
        {"event": "sync", "integration_id": integration_id} | one for one in await client.syncs(team, integration_id)
    ]
    assert all(line in shown for line in lines)


async def test_a_connector_that_is_killed_costs_a_screen_no_event(client: SystemClient) -> None:
    team = await client.team(delay_ms=300)
    pid = client.pid("connector")
    async with _following(client, team) as events:
        await anext(events)
        await client.add(team, "pro")
        before = [await anext(events)]
        os.kill(pid, signal.SIGKILL)
        before += await _rest(events)

    await client.replaced("connector", pid)
    await client.services_answer()
    async with _following(client, team, before[-1][0]) as events:
        after = await _until(events, _is_active)
    async with _following(client, team, 0) as events:
        whole = await _until(events, _is_active)

    assert before + after == whole
    assert [number for number, _, _ in whole] == list(range(1, len(whole) + 1))


async def _rest(events: AsyncIterator[SseEvent]) -> list[SseEvent]:
    """What still comes before the connection breaks."""
    found = []
    try:
        async for one in events:
            found.append(one)  # noqa: PERF401 - what came before the error counts
    except httpx.TransportError:
        return found
    raise AssertionError("the stream ended as if all were well")


async def test_open_streams_end_at_once_when_the_connector_is_stopped(client: SystemClient) -> None:
    pid = client.pid("connector")
    opened: asyncio.Queue[None] = asyncio.Queue()

    async def follow(team: Team) -> None:
        async with _following(client, team) as events:
            await anext(events)
            opened.put_nowait(None)
            assert [one async for one in events] == []

    streams = [asyncio.create_task(follow(await client.team())) for _ in range(5)]
    for _ in streams:
        await opened.get()

    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    await asyncio.gather(*streams)
    await until(lambda: not Path(f"/proc/{pid}").exists())
    took = time.monotonic() - began
    await client.replaced("connector", pid)
    await client.services_answer()

    assert took < 8, "uvicorn waits 10 s for connections that stay open"
