"""Ends the requests that no window answers: expired, from the future, or for an integration that stays unknown."""

from datetime import timedelta

from common.database import Database
from common.kafka.publisher import Publisher
from common.loops import Loop
from common.watchdog import Watchdog
from contract.fields import Trigger
from contract.problems import Code
from contract.tracing import tracing
from sqlalchemy import Row, text

from syncer.decisions import FailureDecision, Scope, decide_failure, publish
from syncer.domain import Days

UNKNOWN_FOR = timedelta(seconds=45)
"""A request for an integration that is still unknown then ends as `not_found`: within a minute, with the loop's rest."""
EVERY = 5.0

_END_UNKNOWN = text("""
    UPDATE requests r SET status = 'not_found'
    WHERE window_id IS NULL AND status = 'accepted' AND received_at < (SELECT clock_timestamp()) - :unknown_for
        AND NOT EXISTS (SELECT 1 FROM integrations i WHERE i.integration_id = r.integration_id)
""")

_ENDED = text("""
    SELECT r.*, i.account_id FROM requests r LEFT JOIN integrations i USING (integration_id)
    WHERE r.status IN ('not_found', 'expired', 'request_malformed') ORDER BY r.received_at LIMIT 1000
""")

_MARK_PUBLISHED = text("""
    UPDATE requests SET status = status || '_published'
    WHERE integration_id = :id AND request_id = :request_id AND status = :status
""")


class RequestEnds:
    """Several processes may publish the same end: its copies are identical."""

    def __init__(self, database: Database, publisher: Publisher, watchdog: Watchdog) -> None:
        self._database = database
        self._publisher = publisher
        self._loop = Loop("request_ends", watchdog, self.round, every=EVERY)
        self.run = self._loop.run

    async def round(self) -> None:
        """The end is stored before it is published: a crash between the two publishes it again."""
        async with self._database.transaction() as connection:
            await connection.execute(_END_UNKNOWN, {"unknown_for": UNKNOWN_FOR})
            rows = (await connection.execute(_ENDED)).all()
        for row in rows:
            with tracing(row.traceparent):
                await publish(_end(row), self._publisher)
            async with self._database.transaction() as connection:
                values = {"id": row.integration_id, "request_id": row.request_id, "status": row.status}
                await connection.execute(_MARK_PUBLISHED, values)
            self._loop.beat()


def _end(row: Row[tuple[object, ...]]) -> FailureDecision:
    days, code = Days(row.first_day, row.last_day), Code(row.status)
    scope = Scope(row.integration_id, row.account_id, Trigger(row.trigger), (row.request_id,), days)
    event_id = f"{row.integration_id}:{row.request_id}:{code.value}"
    return decide_failure(scope, code, event_id=event_id, at=row.ended_at or row.received_at)
