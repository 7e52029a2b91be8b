"""The loop of the worker: windows that are due are claimed on leases, and attempted."""

import math
from collections.abc import Collection

from common.database import Database
from common.leases import LeasedWorker
from common.watchdog import Watchdog

from syncer import leases
from syncer.attempt import Attempt
from syncer.leases import Claim

RENEW_EVERY = 5.0
"""Seconds; a fraction of a lease."""
HELD_PER_READ = 1.5
"""Windows: while some are read, others are claimed, stored or published."""


class WindowQueue:
    """The table of windows, as the worker takes them."""

    def __init__(self, database: Database, attempt: Attempt, instance_name: str) -> None:
        """`instance_name`: the process's stable name; empty where it has none."""
        self._database = database
        self._attempt = attempt
        self._owner = instance_name

    async def claim(self, at_most: int) -> tuple[list[Claim], bool]:
        return await self._attempt.claim(self._owner, at_most)

    async def attempt(self, claim: Claim) -> bool:
        await self._attempt.run(claim)
        return claim.others_open

    async def renew(self, held: Collection[Claim]) -> None:
        async with self._database.transaction() as connection:
            await leases.renew(connection, held)

    async def release(self, held: Collection[Claim]) -> None:
        async with self._database.transaction() as connection:
            await leases.release(connection, held)

    async def release_owner(self) -> None:
        if self._owner:
            async with self._database.transaction() as connection:
                await leases.release_owner(connection, self._owner)


def make_worker(queue: WindowQueue, watchdog: Watchdog, *, in_flight: int) -> LeasedWorker[Claim]:
    """For `in_flight` windows that are read at a time; one of a team, whichever account connected it."""
    held = math.ceil(HELD_PER_READ * in_flight)
    return LeasedWorker("worker", watchdog, queue, in_flight=held, renew_every=RENEW_EVERY)
