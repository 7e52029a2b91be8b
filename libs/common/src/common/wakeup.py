"""Wakes a loop that polls."""

import asyncio


class Wakeup:
    """A loop clears it, polls, and waits; a wake during the poll ends the wait at once."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may be due: poll now."""
        self._woken.set()

    def clear(self) -> None:
        """The loop is about to poll: later wakes count."""
        self._woken.clear()

    async def wait(self, seconds: float) -> bool:
        """Wait until woken, at most `seconds`; returns whether it was woken."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True
