"""`python -m ledger.operations.rebuild`: the ledger's tables anew from its topics, compared with the live, swapped on request.

Every run begins anew. What the living ledger holds came from the topics: once its writes are stopped, whatever it wrote
stands before the topics' ends, so tables that were brought to those ends lack nothing of it.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from aiokafka.partitioner import DefaultPartitioner
from common import logs
from common.database import Database, make_engine
from common.errors import TransientError, name_of
from common.kafka.client import admin_client, make_broker
from common.kafka.dead_letters import DeadLetters
from common.kafka.ranges import Span, reader, records_of
from common.replay import Asked, Course, Quiet, ReplaySettings, replay
from common.settings import load
from common.watchdog import Watchdog
from contract.cloudevents import MalformedError, Record
from contract.topics import COSTS, INTEGRATIONS, Topic
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.operations import rebuild_diff, rebuild_swap, rebuild_tables
from ledger.operations.rebuild_diff import Difference
from ledger.operations.rebuild_tables import SCHEMA, RebuildError
from ledger.operations.replay import course

ORDER = (INTEGRATIONS, COSTS)
"""Who was erased is known before any cost comes."""
PATIENCE = 10.0
"""Seconds in which the living ledger may come to what the rebuilt one has read."""
NEAR = 2_000
"""Records that may be left to read when writes are stopped."""
GONE_AFTER_MS = 1_000
"""After which the server notices that this process is gone."""
Tell = Callable[[int, int], None]


@dataclass(slots=True)
class Result:
    """What a rebuild did, and found."""

    schema: str = SCHEMA
    read: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    """To read the topics from their start and write what they say."""
    given_up: int = 0
    """Records that cannot be read; their dead letters were written when the ledger first met them."""
    taken_over: dict[str, int] = field(default_factory=dict)
    """Rows by table that are from before the topics' first records, and were copied from the living tables."""
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    differences: list[dict[str, Any]] = field(default_factory=list)
    """Rows that differ, by table and kind."""
    samples: list[Difference] = field(default_factory=list)
    kept_as: str | None = None
    """Where the tables are that lived before the swap; None: not swapped."""
    stopped_seconds: float = 0.0
    """How long the living ledger's writes waited for the swap."""
    refused: str | None = None


class GivenUp(DeadLetters):
    """Counts what is given up, and publishes nothing."""

    count = 0

    async def put(self, record: Record, topic: Topic, error: MalformedError, *, attempts: int = 1) -> None:  # noqa: ARG002 - as every dead letter
        """Count `record`."""
        self.count += 1


class Held(Database):
    """Works inside a transaction that is open already, whose locks would keep out any other connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection.engine)
        self._connection = connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A part of the transaction, undone alone when it raises."""
        async with self._connection.begin_nested():
            yield self._connection


class Rebuild:
    """One rebuild, from the first record to the swap."""

    def __init__(self, settings: ReplaySettings, database: Database, tell: Tell = lambda _read, _total: None) -> None:
        """`database` sees the rebuilt schema, as the owner of both."""
        self._settings = settings
        self._database = database
        self._tell = tell
        self._quiet = Quiet(make_broker(settings, "ledger-rebuild"), "ledger", Watchdog())
        self._given_up = GivenUp(self._quiet, "ledger")
        self._reached: dict[Topic, dict[int, int]] = {}
        self.result = Result()

    async def fill(self) -> None:
        """Make the tables anew, and write what the topics say, and then what they no longer say."""
        begun = time.monotonic()
        async with self._patient_transaction() as connection:
            await rebuild_tables.drop(connection)
        await asyncio.to_thread(rebuild_tables.make, self._settings.database_url)
        async with self._patient_transaction() as connection:
            await rebuild_tables.check_versions(connection)
            await rebuild_tables.take_over_erased(connection)
        await self.catch_up()
        self.result.seconds = round(time.monotonic() - begun, 3)
        async with self._patient_transaction() as connection:
            await self._take_over(connection)
        async with self._patient_transaction() as connection:
            await connection.execute(text("ANALYZE days, day_revisions, outcomes, integrations"))

    async def catch_up(self, database: Database | None = None) -> int:
        """Read on to the topics' present ends; answers how many records it were."""
        made = replace(course(database or self._database, self._quiet, self._given_up), state=_nothing)
        return sum([await self._read_on(topic, made) for topic in ORDER])

    async def _read_on(self, topic: Topic, made: Course) -> int:
        async with reader(self._settings) as consumer:
            ends = await consumer.end_offsets([TopicPartition(topic.name, one) for one in range(topic.partitions)])
        until = {one.partition: end for one, end in ends.items()}
        since = self._reached.get(topic)
        if since == until:
            return 0
        read = (await replay(made, self._settings, Asked(topic, since, until), self._tell)).read
        self._reached[topic] = until
        self.result.read[topic.name] = self.result.read.get(topic.name, 0) + read
        self.result.given_up = self._given_up.count
        return read

    async def _take_over(self, connection: AsyncConnection) -> None:
        added = await rebuild_tables.take_over(connection, await self._first_records(connection))
        self.result.taken_over = {table: count + self.result.taken_over.get(table, 0) for table, count in added.items()}

    async def _first_records(self, connection: AsyncConnection) -> dict[UUID, datetime | None]:
        instants = await self._first_instants()
        place = DefaultPartitioner()
        partitions = sorted(instants)
        return {
            one: instants[place(str(one).encode(), partitions, partitions)]
            for one in await rebuild_tables.live_integrations(connection)
        }

    async def _first_instants(self) -> dict[int, datetime | None]:
        """By partition of the costs: when its first record that stands was published."""
        places = [TopicPartition(COSTS.name, number) for number in range(COSTS.partitions)]
        found: dict[int, datetime | None] = dict.fromkeys(range(COSTS.partitions))
        async with reader(self._settings) as consumer:
            first, end = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            spans = {one: Span(first[one], min(first[one] + 1, end[one])) for one in places}
            async for records in records_of(consumer, spans):
                for record in records:
                    found[record.partition] = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        return found

    async def compare(self) -> None:
        """Find what differs, also after everybody has had time to come to the topics' ends."""
        await self.catch_up()
        async with self._patient_transaction() as connection:
            if await rebuild_diff.compare(connection):
                await self._live_has_come()
                await self.catch_up()
                await rebuild_diff.compare_again(connection)
            self.result.differences = await rebuild_diff.counted(connection)
            self.result.samples = await rebuild_diff.samples(connection)
            self.result.sizes = await rebuild_diff.sizes(connection)

    async def _live_has_come(self) -> None:
        """Wait until the living ledger has handled what was read here, for a while."""
        try:
            async with asyncio.timeout(PATIENCE), admin_client(self._settings, "ledger-rebuild") as admin:
                while await self._live_is_behind(await admin.list_consumer_group_offsets(f"ledger.{COSTS.name}")):
                    await asyncio.sleep(0.2)
        except (TimeoutError, GroupCoordinatorNotAvailableError):  # too slow, or there was never a group at this broker
            return

    async def _live_is_behind(self, committed: dict[TopicPartition, Any]) -> bool:
        places = {TopicPartition(COSTS.name, number): end for number, end in self._reached[COSTS].items()}
        return any(end > committed[one].offset for one, end in places.items() if one in committed)

    async def swap(self) -> None:
        """Put the rebuilt tables in the living ones' place; raises RebuildError where that would lose something."""
        for _ in range(5):
            if await self.catch_up() < NEAR:
                break
        async with self._patient_transaction() as connection:
            await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '30s'"))
            await rebuild_swap.stop_writes(connection)
            begun = time.monotonic()
            await self.catch_up(Held(connection))
            await self._take_over(connection)
            self.result.kept_as = await rebuild_swap.exchange(connection, datetime.now(UTC))
        self.result.stopped_seconds = round(time.monotonic() - begun, 3)

    @asynccontextmanager
    async def _patient_transaction(self) -> AsyncIterator[AsyncConnection]:
        """One whose statements may go over whole tables."""
        async with self._database.transaction() as connection:
            await connection.execute(text("SET LOCAL statement_timeout = '10min'"))
            await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            # A server that waits or works does not look whether anybody is there, and would go on holding its locks.
            await connection.execute(text(f"SET LOCAL client_connection_check_interval = {GONE_AFTER_MS}"))
            yield connection


async def _nothing() -> dict[str, str]:
    """A checksum of tables that are being filled says nothing."""
    return {}


@asynccontextmanager
async def alone(settings: ReplaySettings) -> AsyncIterator[Database]:
    """The way to the rebuilt tables, for one rebuild at a time; raises RebuildError where another is at work."""
    engine = make_engine(settings.database_url, schema=SCHEMA)
    try:
        async with engine.connect() as connection:
            own = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await rebuild_tables.be_the_only_one(own)
            yield Database(engine)
    finally:
        await engine.dispose()


async def rebuild(settings: ReplaySettings, tell: Tell, *, swap: bool) -> Result:
    """All of it; the result says what was refused."""
    async with alone(settings) as database:
        one = Rebuild(settings, database, tell)
        await one.fill()
        await one.compare()
        if swap:
            try:
                await one.swap()
            except RebuildError as error:
                one.result.kept_as, one.result.refused = None, str(error)
        return one.result


async def drop(settings: ReplaySettings, schema: str) -> None:
    """Remove what a rebuild or a swap left; raises RebuildError for any other schema."""
    async with alone(settings) as database, database.transaction() as connection:
        await rebuild_tables.drop(connection, schema)


async def _act(settings: ReplaySettings, options: argparse.Namespace) -> dict[str, Any]:
    if options.drop:
        await drop(settings, options.drop)
        return {"dropped": options.drop}
    tell: Tell = lambda read, total: _tell("progress", {"read": read, "total": total})  # noqa: E731 - one line for another program
    return asdict(await rebuild(settings, tell, swap=options.swap))


def main() -> None:
    """Rebuild as the arguments say: lines of JSON, `{"progress": …}` and at last `{"report": …}`."""
    parser = argparse.ArgumentParser(prog="python -m ledger.operations.rebuild")
    parser.add_argument("--swap", action="store_true", help="put the rebuilt tables in the living ones' place")
    parser.add_argument("--drop", metavar="SCHEMA", help="remove what a rebuild or a swap left, and end")
    options = parser.parse_args()
    settings = load(ReplaySettings)
    logs.configure("ledger", "ERROR", stream=sys.stderr)
    try:
        report = asyncio.run(_act(settings, options))
    except (RebuildError, TransientError) as error:
        sys.exit(str(error))
    except (OperationalError, KafkaError) as error:
        sys.exit(
            f"{name_of(error)}: the database or the broker did not do as asked; nothing was swapped, rebuild again"
        )
    _tell("report", report)


def _tell(kind: str, what: dict[str, Any]) -> None:
    print(json.dumps({kind: what}), flush=True)  # noqa: T201 - lines for the program that started this one


if __name__ == "__main__":
    main()
