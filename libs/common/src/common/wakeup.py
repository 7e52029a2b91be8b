"""How a loop that polls is told that there is something to do now."""

import asyncio


class Wakeup:
    """A loop clears it, looks, and waits; whoever has made something due wakes it, also while it looks."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may be due: look now."""
        self._woken.set()

    def clear(self) -> None:
        """The loop is about to look: from here on a wake is news."""
        self._woken.clear()

    async def wait(self, seconds: float) -> bool:
        """Return when woken, at the latest after `seconds`; answers whether it was woken."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True
