"""Keeps the tables in order: deletes what has expired, repairs what a step of the clock broke, counts what waits."""

from datetime import timedelta
from uuid import UUID

import structlog
from common.database import Database
from common.loops import Loop
from common.metrics import BACKLOG_AGE, CREDENTIALS_UNAVAILABLE, QUESTIONS_OPEN, WAITING_FOR_KEY, declare
from common.watchdog import Watchdog
from contract.rules import READABLE_DAYS
from sqlalchemy import text

from syncer import questions, store
from syncer.domain import LONGEST_PAUSE, TEAM_RATE_PER
from syncer.guard import LATER_PAUSE, Kind
from syncer.leases import LEASE

log = structlog.get_logger()

KEEP_WINDOWS = timedelta(days=30)
"""Once they are closed, and their requests."""
KEEP_RAW_ANSWERS = timedelta(days=90)
KEEP_COVERAGE = timedelta(days=200)
KEEP_KNOWN_DAYS = timedelta(days=READABLE_DAYS)
"""As long as they can be read again; and their questions."""
EXPIRED_EVERY = 3600.0
"""Seconds between two looks for expired rows, which are kept for days."""
KEY_OVERDUE_AFTER = timedelta(minutes=10)
"""A window that is due for longer and has no credential is counted."""

# In a subquery the clock is read once, so that an index can bound the rows.
_DELETE_EXPIRED = {
    text("DELETE FROM windows WHERE closed_at < (SELECT clock_timestamp()) - :keep"): KEEP_WINDOWS,
    text("""DELETE FROM requests r WHERE received_at < (SELECT clock_timestamp()) - :keep
            AND (window_id IS NOT NULL OR status <> 'accepted')
            AND NOT EXISTS (SELECT 1 FROM windows w WHERE w.window_id = r.window_id AND w.closed_at IS NULL)"""): KEEP_WINDOWS,
    text("DELETE FROM raw_answers WHERE observed_at < (SELECT clock_timestamp()) - :keep"): KEEP_RAW_ANSWERS,
}
# By integration, as their keys begin: there are so many days that to read them all takes minutes.
_DELETE_EXPIRED_DAYS = {
    text(f"DELETE FROM {table} WHERE integration_id = ANY(:ids) AND day < current_date - :keep"): keep  # noqa: S608
    for table, keep in {"coverage": KEEP_COVERAGE, "known_days": KEEP_KNOWN_DAYS, "questions": KEEP_KNOWN_DAYS}.items()
}

# Whatever was due or leased until an instant that the clock stepped back from would wait for it once more. No lease and no
# pause of the syncer is as long; the provider's Retry-After is stored on the integration, and is kept.
_REPAIR_CLOCK_STEPS = (
    text("""UPDATE integrations SET lease_until = clock_timestamp() + :lease WHERE integration_id IN (
            SELECT integration_id FROM integrations WHERE lease_until > clock_timestamp() + :lease
            ORDER BY integration_id FOR UPDATE SKIP LOCKED)"""),
    text("""UPDATE teams SET lease_until = least(lease_until, clock_timestamp() + :lease),
            full_at = CASE WHEN full_at > clock_timestamp() + :full THEN clock_timestamp() ELSE full_at END
            WHERE lease_until > clock_timestamp() + :lease OR full_at > clock_timestamp() + :full"""),
    text("""UPDATE windows SET due_at = clock_timestamp(), created_at = least(created_at, clock_timestamp())
            WHERE closed_at IS NULL AND decision IS NULL AND due_at > clock_timestamp() AND (created_at > clock_timestamp()
            OR due_at > greatest(clock_timestamp() + :pause, (SELECT i.retry_after
                FROM integrations i WHERE i.integration_id = windows.integration_id)))"""),
    text(
        """UPDATE questions SET ask_again_at = clock_timestamp()
            WHERE ask_again_at > (SELECT clock_timestamp()) + :question_pause"""
    ),
)

_WAITING_FOR_KEY = text("""
    SELECT count(*) FROM windows w JOIN integrations i USING (integration_id)
    WHERE w.closed_at IS NULL AND w.decision IS NULL AND w.due_at < clock_timestamp() - :overdue_after
        AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.integration_id = i.integration_id
            AND c.credential_version >= i.credential_version)
""")

_DUE_FOR = text("""
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(greatest(w.due_at, i.retry_after))), 0)::float8
    FROM windows w JOIN integrations i USING (integration_id)
    WHERE w.closed_at IS NULL AND greatest(w.due_at, i.retry_after) < clock_timestamp()
""")

_UNOPENED = text(
    "SELECT count(DISTINCT integration_id) FROM windows WHERE closed_at IS NULL AND code = 'key_unavailable'"
)


class Housekeeping:
    """Each job is a loop of its own: one that fails stops no other."""

    def __init__(self, database: Database, watchdog: Watchdog, *, every: float) -> None:
        """`every`: seconds between two runs of a job."""
        declare(BACKLOG_AGE, ["windows"])
        declare(QUESTIONS_OPEN, Kind, (questions.XAI, questions.OPERATOR))
        self._database = database
        self._retention = Loop("retention", watchdog, self.delete_expired, every=max(every, EXPIRED_EVERY))
        self.loops = (
            Loop("clock_repair", watchdog, self.repair_clock_steps, every=every),
            Loop("waiting_count", watchdog, self.count_waiting_for_key, every=every),
            Loop("questions_count", watchdog, self.count_questions, every=every),
            Loop("unopened_count", watchdog, self.count_unopened, every=every),
            Loop("backlog", watchdog, self.measure_backlog, every=every),
            self._retention,
        )

    async def repair_clock_steps(self) -> None:
        """After the database's clock stepped back: make due what would wait for the same time twice."""
        values = {
            "full": TEAM_RATE_PER + timedelta(seconds=1),
            "lease": LEASE,
            "pause": LONGEST_PAUSE,
            "question_pause": LATER_PAUSE,
        }
        async with self._database.transaction() as connection:
            for statement in _REPAIR_CLOCK_STEPS:
                await connection.execute(statement, values)

    async def count_waiting_for_key(self) -> None:
        """Set the metric of windows whose credential is overdue."""
        async with self._database.transaction() as connection:
            waiting: int = (
                await connection.execute(_WAITING_FOR_KEY, {"overdue_after": KEY_OVERDUE_AFTER})
            ).scalar_one()
        WAITING_FOR_KEY.set(waiting)
        if waiting:
            log.warning("windows.waiting_for_key", windows=waiting)

    async def count_questions(self) -> None:
        """Set the metric of open questions."""
        async with self._database.transaction() as connection:
            numbers = await questions.count(connection)
        for labels, number in numbers.items():
            QUESTIONS_OPEN.labels(*labels).set(number)

    async def count_unopened(self) -> None:
        """Set the metric of integrations whose credential did not open."""
        async with self._database.transaction() as connection:
            CREDENTIALS_UNAVAILABLE.set((await connection.execute(_UNOPENED)).scalar_one())

    async def measure_backlog(self) -> None:
        """Set the metric of the window that has been due for longest."""
        async with self._database.transaction() as connection:
            BACKLOG_AGE.labels("windows").set((await connection.execute(_DUE_FOR)).scalar_one())

    async def delete_expired(self) -> None:
        """Delete the rows that nobody needs any more."""
        for statement, keep in _DELETE_EXPIRED.items():
            async with self._database.transaction() as connection:
                await connection.execute(statement, {"keep": keep})
            self._retention.beat()
        await self._delete_expired_days()

    async def _delete_expired_days(self) -> None:
        last: UUID | None = None
        while True:
            async with self._database.transaction() as connection:
                ids = await store.portion(connection, last)
                for statement, keep in _DELETE_EXPIRED_DAYS.items():
                    await connection.execute(statement, {"ids": ids, "keep": keep})
            self._retention.beat()
            if len(ids) < store.PORTION:
                return
            last = ids[-1]
