"""Wait for a condition, with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeVar, overload

T = TypeVar("T")
DEADLINE = 60.0


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
    last = "none"
    try:
        async with asyncio.timeout(DEADLINE):
            while True:
                found = ask()
                found = await found if isawaitable(found) else found
                if enough(found):
                    return found
                last = str(found)[:2000]
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE:.0f} s; the last result: {last}") from None
