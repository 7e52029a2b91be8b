"""Teams: one call of a team at a time, and no more than its rate, in the whole fleet. Their rows are locked last."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

from common.database import Database
from common.direct_connections import Driver
from common.rate_limits import Rate

MICROSECONDS = 1_000_000
POLL_EVERY = 0.25
"""Seconds between two looks whether a team is free, or has a further call."""

IS_FREE = """(t.lease IS NULL OR t.lease_until < clock_timestamp()) AND t.full_at <= clock_timestamp() + %(slack)s"""
"""A team `t` that may be called now, by the values of `bucket`."""

_TAKE_CALL = """
    UPDATE teams SET full_at = greatest(full_at, clock_timestamp()) + %(interval)s
    WHERE team_id = %(team_id)s AND lease = %(lease)s AND full_at <= clock_timestamp() + %(slack)s
"""

_LEASE = f"""
    UPDATE teams t SET lease = %(lease)s, lease_until = clock_timestamp() + %(lasts)s,
        full_at = greatest(full_at, clock_timestamp()) + %(interval)s
    WHERE team_id = %(team_id)s AND {IS_FREE}
"""  # noqa: S608 - only a constant is put in

_RELEASE = "UPDATE teams SET lease = NULL, lease_until = NULL WHERE team_id = %(team_id)s AND lease = %(lease)s"


def bucket(rate: Rate) -> dict[str, timedelta]:
    """Of a bucket that is full at an instant of the database's clock: what a call adds, and how far off it may be before."""
    interval = timedelta(microseconds=-(-rate.seconds * MICROSECONDS // rate.count))
    return {"interval": interval, "slack": interval * (rate.count - 1)}


async def take_call(driver: Driver, team_id: str, lease: UUID, rate: Rate) -> bool:
    """Take a further call of a team that is leased; False where there is none yet."""
    values = {"team_id": team_id, "lease": lease} | bucket(rate)
    return (await driver.execute(_TAKE_CALL, values)).rowcount > 0


@asynccontextmanager
async def leased(database: Database, team_id: str, rate: Rate, lasts: timedelta) -> AsyncIterator[bool]:
    """The team for one call without a window, until the block ends; False where it is not free. Expires after `lasts`."""
    values = {"team_id": team_id, "lease": uuid4(), "lasts": lasts}
    async with database.direct() as driver:
        is_leased = (await driver.execute(_LEASE, values | bucket(rate))).rowcount > 0
    try:
        yield is_leased
    finally:
        if is_leased:
            async with database.direct() as driver:
                await driver.execute(_RELEASE, values)
