"""One team that xAI fails under load: what its card and its history say, and that nobody else waits for it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from contract.cloudevents import headers_of
from contract.messages import Message
from contract.problems import Code
from contract.topics import Topic

from tests.faults.support.load import Load
from tests.support.system import SystemClient, Team
from tests.support.waiting import until

NOBODY_WAITS = 5.0
"""Seconds within which a Force Sync of a healthy team ends, whatever becomes of another one."""
Connected = tuple[Team, str]
"""A team, and its integration's ID."""


@asynccontextmanager
async def failing(load: Load, faults: list[tuple[Connected, dict[str, Any]]]) -> AsyncIterator[None]:
    """Under load these teams' questions meet these faults; to the last one xAI answers, and soon."""
    over = asyncio.Event()
    for (team, _), fault in faults:
        await load.world.control("POST", "/faults", {"team_id": team.team_id, "times": None, **fault})
    async with load.running():
        pressing = asyncio.create_task(_press(load, over))
        try:
            for at, _ in faults:
                await load.force(*at)
            yield
        finally:
            over.set()
            slowest = await pressing
            await load.world.clear_faults()
    assert slowest < NOBODY_WAITS


async def _press(load: Load, over: asyncio.Event) -> float:
    """Force Sync of a healthy team again and again; answers the seconds that the slowest one took."""
    slowest = 0.0
    while not over.is_set():
        began = time.monotonic()
        assert (await load.world.force(*load.teams[-1]))["code"] is None
        slowest = max(slowest, time.monotonic() - began)
    return slowest


async def line_of(world: SystemClient, at: Connected, code: Code, since: datetime) -> dict[str, Any]:
    """The first line of the history that tells of the failure."""

    async def find() -> dict[str, Any] | None:
        lines = reversed(await world.syncs(*at))
        told = (one for one in lines if one["code"] == code and datetime.fromisoformat(one["at"]) >= since)
        return next(told, None)

    return await until(find)


async def card_of(world: SystemClient, at: Connected, code: Code) -> dict[str, Any]:
    """The card, as soon as it tells of the failure."""
    return await until(lambda: world.card(*at), lambda card: card["status_code"] == code)


async def publish(world: SystemClient, topic: Topic, message: Message, *, key: str, event_id: str) -> None:
    """Put a message on its topic as another program would."""
    headers = headers_of(message, event_id=event_id, source="/a-test", at=datetime.now(UTC))
    encoded = {name: value.encode() for name, value in headers.items()}
    await world.publish(topic.name, key, message.model_dump_json().encode(), encoded)
