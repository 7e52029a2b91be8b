"""Measures what waits in the connector's tables."""

from common.database import Database
from common.loops import Loop
from common.metrics import BACKLOG_AGE, declare
from common.watchdog import Watchdog
from sqlalchemy import text

EVERY = 15.0
"""Seconds."""
QUEUES = ("commands", "states", "results")

_SINCE = text("""
    SELECT coalesce(extract(epoch FROM clock_timestamp() - commands), 0)::float8 AS commands,
        coalesce(extract(epoch FROM clock_timestamp() - states), 0)::float8 AS states,
        coalesce(extract(epoch FROM clock_timestamp() - results), 0)::float8 AS results
    FROM (SELECT (SELECT min(received_at) FROM commands WHERE done_at IS NULL) AS commands,
        (SELECT min(changed_at) FROM integrations WHERE version > announced_version) AS states,
        (SELECT min(done_at) FROM commands WHERE done_at IS NOT NULL AND published_at IS NULL) AS results) oldest
""")


class Backlog:
    """How long commands wait to be done, and states of integrations and results of commands to be published."""

    def __init__(self, database: Database, watchdog: Watchdog) -> None:
        declare(BACKLOG_AGE, QUEUES)
        self._database = database
        self.run = Loop("backlog", watchdog, self.measure, every=EVERY).run

    async def measure(self) -> None:
        """Set the metric of each queue."""
        async with self._database.transaction() as connection:
            row = (await connection.execute(_SINCE)).one()
        for queue in QUEUES:
            BACKLOG_AGE.labels(queue).set(getattr(row, queue))
