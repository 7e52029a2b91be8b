"""A loop that waits is woken at once, also by what happened while it looked."""

import asyncio

from common.wakeup import Wakeup


async def test_a_waiting_loop_is_woken() -> None:
    wakeup = Wakeup()
    waiting = asyncio.create_task(wakeup.wait(60))
    await asyncio.sleep(0)
    wakeup.wake()

    assert await waiting


async def test_a_wake_during_the_look_is_not_lost() -> None:
    wakeup = Wakeup()
    wakeup.clear()
    wakeup.wake()

    assert await wakeup.wait(60)


async def test_without_a_wake_the_wait_ends_after_its_time() -> None:
    wakeup = Wakeup()
    wakeup.wake()
    wakeup.clear()

    assert not await wakeup.wait(0.01)
