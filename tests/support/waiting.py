"""Wait for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeVar, overload

T = TypeVar("T")
DEADLINE = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.25
"""Seconds between two looks. The pause grows with the wait: each look costs CPU time, here and where it is answered."""


async def others_have_run(turns: int = 10) -> None:
    """Give every task that is ready its turn, so many times: what would happen at once has happened."""
    for _ in range(turns):
        await asyncio.sleep(0)


@overload
async def until(ask: Callable[[], Awaitable[T | None]]) -> T: ...
@overload
async def until(ask: Callable[[], Awaitable[T]], enough: Callable[[T], object]) -> T: ...
@overload
async def until(ask: Callable[[], T | None]) -> T: ...
@overload
async def until(ask: Callable[[], T], enough: Callable[[T], object]) -> T: ...
async def until(ask: Callable[[], Any], enough: Callable[[Any], object] = bool) -> Any:
    """Return the first result of `ask` that is enough; after a minute fail with the last one."""
    last, began = "none", time.monotonic()
    try:
        async with asyncio.timeout(DEADLINE):
            while True:
                found = ask()
                found = await found if isawaitable(found) else found
                if enough(found):
                    return found
                last = str(found)[:2000]
                waited = time.monotonic() - began
                await asyncio.sleep(min(max(FIRST_PAUSE, waited / 5), LONGEST_PAUSE))
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE:.0f} s; the last result: {last}") from None
