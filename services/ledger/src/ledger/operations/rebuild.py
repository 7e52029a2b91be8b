"""Rebuild the ledger's tables from its topics, compare them with the live ones, and swap them on request.

Every run starts from nothing. Whatever the live ledger holds came from the topics: once its writes are stopped, all that
it wrote precedes the topics' ends, so tables that were filled up to those ends lack nothing of it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from aiokafka.errors import KafkaError
from common.database import Database, Pipeline, make_engine, pipelined
from common.errors import UnreachableError, name_of
from common.replay import Progress, ReplaySettings, no_progress
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.operations import rebuild_diff, rebuild_swap, rebuild_tables
from ledger.operations.rebuild_diff import Comparison, Count, Difference
from ledger.operations.rebuild_tables import SCHEMA, RebuildError
from ledger.operations.rebuild_topics import TopicReader

NEAR = 2_000
"""Records that may be left to read when writes are stopped."""
GONE_AFTER_MS = 1_000
"""After which the server notices that this process has ended."""


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a rebuild did, and found."""

    schema: str
    read: dict[str, int]
    """Records by topic."""
    seconds: float
    """To read the topics from their start and write what they hold."""
    unreadable: int
    """Records that cannot be read; the live ledger dead-lettered them when it first met them."""
    taken_over: dict[str, int]
    """Rows by table that are older than the topics' first records, and were copied from the live tables."""
    sizes: dict[str, dict[str, int]]
    """Rows of each table, `live` and `rebuilt`."""
    differences: list[Count]
    samples: list[Difference]
    kept_as: str | None
    """The schema of the tables that were live before the swap; None: not swapped."""
    stopped_seconds: float
    """How long the live ledger's writes waited for the swap."""
    refused: str | None
    """Why the swap was refused."""


async def rebuild(settings: ReplaySettings, *, swap: bool, progress: Progress = no_progress) -> RebuildReport:
    """Fill, compare, and swap where `swap`; the report names a swap that was refused. Raises RebuildError."""
    kept_as, stopped, refused = None, 0.0, None
    async with _exclusive(settings) as database:
        work = Rebuild(settings, database, progress)
        seconds = await work.fill()
        found = await work.compare()
        if swap:
            try:
                kept_as, stopped = await work.swap()
            except RebuildError as error:
                refused = str(error)
    return RebuildReport(
        schema=SCHEMA,
        read=dict(work.topics.read),
        seconds=round(seconds, 3),
        unreadable=work.topics.unreadable,
        taken_over=dict(work.taken_over),
        sizes=found.sizes,
        differences=found.counts,
        samples=found.samples,
        kept_as=kept_as,
        stopped_seconds=round(stopped, 3),
        refused=refused,
    )


async def drop(settings: ReplaySettings, schema: str) -> None:
    """Remove what a rebuild or a swap left; raises RebuildError for any other schema."""
    async with _exclusive(settings) as database, database.transaction() as connection:
        await rebuild_tables.drop(connection, schema)


class TransactionView(Database):
    """Works inside a transaction that is open already, whose locks would keep out any other connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection.engine)
        self._connection = connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A part of the transaction, undone alone when it raises."""
        async with self._connection.begin_nested():
            yield self._connection

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[Pipeline]:
        """The same, whose statements are sent at once."""
        async with self.transaction() as connection, pipelined(connection) as pipeline:
            yield pipeline


class Rebuild:
    """One rebuild, from the first record to the swap."""

    def __init__(self, settings: ReplaySettings, database: Database, progress: Progress) -> None:
        """`database` sees the rebuilt schema, as the owner of both."""
        self._url = settings.database_url
        self._database = database
        self.topics = TopicReader(settings, progress)
        self.taken_over = Counter[str]()

    async def fill(self) -> float:
        """Create empty tables, write what the topics hold, and then what they no longer hold; returns seconds for the topics."""
        start = time.monotonic()
        async with self._long_transaction() as connection:
            await rebuild_tables.drop(connection)
        await asyncio.to_thread(rebuild_tables.make, self._url)
        async with self._long_transaction() as connection:
            await rebuild_tables.check_versions(connection)
            await rebuild_tables.take_over_erased(connection)
        await self.topics.catch_up(self._database)
        seconds = time.monotonic() - start
        async with self._long_transaction() as connection:
            await self._take_over(connection)
        async with self._long_transaction() as connection:
            await connection.execute(text("ANALYZE days, day_revisions, outcomes, integrations"))
        return seconds

    async def _take_over(self, connection: AsyncConnection) -> None:
        first_records = await self.topics.first_records(await rebuild_tables.live_integrations(connection))
        self.taken_over.update(await rebuild_tables.take_over(connection, first_records))

    async def compare(self) -> Comparison:
        """What differs, and still differs once both sides have had time to reach the topics' ends."""
        await self.topics.catch_up(self._database)
        async with self._long_transaction() as connection:
            if await rebuild_diff.find(connection):
                await self.topics.live_catches_up()
                await self.topics.catch_up(self._database)
                await rebuild_diff.find_again(connection)
            return await rebuild_diff.comparison(connection)

    async def swap(self) -> tuple[str, float]:
        """Replace the live tables by the rebuilt ones; returns where those are kept, and for how many seconds writes waited.

        Raises RebuildError where that would lose something.
        """
        for _ in range(5):
            if await self.topics.catch_up(self._database) < NEAR:
                break
        async with self._long_transaction() as connection:
            await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '30s'"))
            await rebuild_swap.stop_writes(connection)
            start = time.monotonic()
            await self.topics.catch_up(TransactionView(connection))
            await self._take_over(connection)
            kept_as = await rebuild_swap.exchange(connection, datetime.now(UTC))
        return kept_as, time.monotonic() - start

    @asynccontextmanager
    async def _long_transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction whose statements may read whole tables."""
        async with self._database.transaction() as connection:
            await connection.execute(text("SET LOCAL statement_timeout = '10min'"))
            await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            # A server that waits or works does not check whether its client exists, and would keep its locks.
            await connection.execute(text(f"SET LOCAL client_connection_check_interval = {GONE_AFTER_MS}"))
            yield connection


@asynccontextmanager
async def _exclusive(settings: ReplaySettings) -> AsyncIterator[Database]:
    """The rebuilt tables, for one rebuild at a time; a failure of database or broker becomes an UnreachableError."""
    engine = make_engine(settings.database_url, schema=SCHEMA)
    database = Database(engine)
    try:
        async with engine.connect() as connection:
            await rebuild_tables.acquire_rebuild_lock(await connection.execution_options(isolation_level="AUTOCOMMIT"))
            yield database
    except (OperationalError, psycopg.OperationalError, KafkaError) as error:
        reason = f"{name_of(error)}: the database or the broker does not answer; nothing was swapped"
        raise UnreachableError(reason, "rebuild again") from error
    finally:
        await database.close()
