"""Teams for which xAI fails under load: what their cards and histories show, and that no other team waits."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from contract.messages import Message
from contract.problems import Code
from contract.topics import Topic

from tests.faults.support.load import Connected, Load
from tests.support.messages import wire
from tests.support.system import SystemClient
from tests.support.waiting import until

NO_WAIT = 5.0
"""Seconds within which a Force Sync of a healthy team ends, whatever fails for another one."""


@asynccontextmanager
async def failing(load: Load, faults: list[tuple[Connected, dict[str, Any]]]) -> AsyncIterator[None]:
    """These teams' requests to xAI meet these faults; the last team is healthy, and must not wait."""
    over = asyncio.Event()
    for (team, _), fault in faults:
        await load.client.control("POST", "/faults", {"team_id": team.team_id, "times": None, **fault})
    syncing = asyncio.create_task(_slowest_sync(load, over))
    try:
        for at, fault in faults:
            await load.force(*at)
            if fault.get("status") in {400, 401, 403, 404} and not fault.get("html"):  # refused in xAI's own words
                await load.client.pass_first_refusal(at[1])
        yield
    finally:
        over.set()
        slowest = await syncing
        await load.client.clear_faults()
    assert slowest < NO_WAIT


async def _slowest_sync(load: Load, over: asyncio.Event) -> float:
    """Sync the healthy team again and again; return the seconds of the slowest time."""
    slowest = 0.0
    while not over.is_set():
        began = time.monotonic()
        assert (await load.client.force(*load.teams[-1]))["code"] is None
        slowest = max(slowest, time.monotonic() - began)
    return slowest


async def failure_of(client: SystemClient, at: Connected, code: Code, since: datetime) -> dict[str, Any]:
    """Wait until the history has a line with `code`; return the first."""

    async def find() -> dict[str, Any] | None:
        lines = reversed(await client.syncs(*at))
        failures = (one for one in lines if one["code"] == code and datetime.fromisoformat(one["at"]) >= since)
        return next(failures, None)

    return await until(find)


async def card_of(client: SystemClient, at: Connected, code: Code) -> dict[str, Any]:
    """Wait until the card shows `code`."""
    return await until(lambda: client.card(*at), lambda card: card["status_code"] == code)


async def publish(client: SystemClient, topic: Topic, message: Message, *, key: str, event_id: str) -> None:
    """Publish as another program would."""
    value, headers = wire(message, event_id=event_id)
    await client.publish(topic.name, key, value, dict(headers))
