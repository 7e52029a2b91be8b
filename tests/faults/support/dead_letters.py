"""What becomes of poison: its dead letters, how soon they are there, and what the services log about it."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from aiokafka import AIOKafkaProducer, TopicPartition
from common.kafka.client import client_options
from contract.topics import COMMAND_RESULTS, DEAD_LETTERS, SYNC_OUTCOMES, Topic

from tests.faults.support.load import Load
from tests.faults.support.poison import CONSUMERS, Good, Owner, Poison
from tests.support.system import SystemClient
from tests.support.waiting import until

MAX_SENT = 10_000_000
LETTERS_WITHIN = 5.0
"""Seconds from a poison's record to its dead letter."""
LOGGED_AT_MOST = 10_000
"""Bytes about one poison, in all logs together."""
LOUD = {"warning", "error", "critical"}
Origin = tuple[str, int, int]
"""Topic, partition and offset."""


@dataclass(frozen=True, slots=True)
class Written:
    """A poison as the broker has it."""

    poison: Poison
    origin: Origin
    at_ms: int
    by: tuple[str, ...]
    """Services that must put it away."""

    @property
    def letter_ids(self) -> set[str]:
        topic, partition, offset = self.origin
        return {f"{service}:{topic}:{partition}:{offset}" for service in self.by}


@dataclass
class Sender:
    """Writes to the partition that a test names, whatever the key says."""

    plain: AIOKafkaProducer
    packed: AIOKafkaProducer

    async def poison(self, topic: Topic, partition: int, poison: Poison, *, by: tuple[str, ...] = ()) -> Written:
        """`by`: who must put it away; empty: all that read the topic."""
        producer = self.packed if poison.inflated else self.plain
        said = await producer.send_and_wait(
            topic.name, poison.value, key=poison.key, headers=list(poison.headers), partition=partition
        )
        return Written(poison, (topic.name, partition, said.offset), said.timestamp, by or CONSUMERS[topic])

    async def good(
        self, topic: Topic, partition: int, good: Good, *, copies: int = 1, at_ms: int | None = None
    ) -> None:
        headers, key = list(good.headers), good.key.encode()
        for _ in range(copies):
            await self.plain.send(
                topic.name, good.value, key=key, headers=headers, partition=partition, timestamp_ms=at_ms
            )
        await self.plain.flush()

    async def again(self, records: Sequence[Any]) -> None:
        """Write records once more where they are, in this order."""
        for one in records:
            await self.plain.send(one.topic, one.value, key=one.key, headers=list(one.headers), partition=one.partition)
        await self.plain.flush()


def owner_in(load: Load) -> Owner:
    """A team of the load."""
    team, integration_id = load.teams[0]
    return Owner(UUID(integration_id), team.account_id)


@asynccontextmanager
async def sending(world: SystemClient) -> AsyncIterator[Sender]:
    options = client_options(world.system.kafka.settings())
    async with AsyncExitStack() as stack:
        kinds: list[dict[str, Any]] = [{}, {"compression_type": "gzip"}]
        producers = [AIOKafkaProducer(**options, **kind, acks="all", max_request_size=MAX_SENT) for kind in kinds]
        for producer in producers:
            await producer.start()
            stack.push_async_callback(producer.stop)
        yield Sender(*producers)


async def run(world: SystemClient, *statements: str) -> None:
    """Change the database as its owner."""
    url = world.address.database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for statement in statements:
            await connection.execute(statement.encode())


async def shown(world: SystemClient, goods: Sequence[Good]) -> list[dict[str, Any]]:
    """The rows that these messages have left."""
    (column,), names = {one.column for one in goods}, [one.shown for one in goods]
    found: list[dict[str, Any]] = []
    for table in goods[0].tables:
        query = f"SELECT to_jsonb(t) FROM {table} t WHERE {column}::text = ANY(%s) ORDER BY {column}"  # noqa: S608 - constants
        found += [row[0] for row in await world.rows(query, names)]
    return found


async def handled(world: SystemClient, goods: Sequence[Good]) -> list[dict[str, Any]]:
    """Wait until each of them shows, once in each of its tables; answers the rows."""
    return await until(lambda: shown(world, goods), lambda rows: len(rows) == len(goods) * len(goods[0].tables))


@dataclass
class Letters:
    """The dead letters since a test began, by their ID; later copies of one are counted."""

    world: SystemClient
    since: dict[TopicPartition, int] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)
    copies: Counter[str] = field(default_factory=Counter)

    async def begin(self) -> None:
        await self.world.records(DEAD_LETTERS.name, self.since)

    async def of(self, written: Collection[Written]) -> dict[str, Any]:
        """Wait until all of them have left their letters; answers those, by ID."""
        wanted = {letter_id for one in written for letter_id in one.letter_ids}

        async def missing() -> set[str]:
            for record in await self.world.records(DEAD_LETTERS.name, self.since):
                letter_id = said(record)["dead_letter_id"]
                self.found.setdefault(letter_id, record)
                self.copies[letter_id] += 1
            return wanted - self.found.keys()

        await until(missing, lambda left: not left)
        return {letter_id: self.found[letter_id] for letter_id in wanted}


def said(letter: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in letter.headers}


def latest(written: Collection[Written], letters: Mapping[str, Any]) -> float:
    """Seconds from a poison to its dead letter, of the one that took longest."""
    took = [letters[letter_id].timestamp - one.at_ms for one in written for letter_id in one.letter_ids]
    return float(max(took)) / 1000


def origin_of(letter: Any) -> Origin:
    headers = said(letter)
    return headers["dead_letter_topic"], int(headers["dead_letter_partition"]), int(headers["dead_letter_offset"])


@dataclass
class Logged:
    """What the services' logs say from now on."""

    folder: Path
    from_: dict[Path, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.from_ = {log: log.stat().st_size for log in self._logs()}

    def _logs(self) -> list[Path]:
        return [log for name in ("connector", "syncer", "ledger") for log in self.folder.glob(f"{name}*.log")]

    def lines(self) -> Iterator[bytes]:
        for log in self._logs():
            with log.open("rb") as stream:
                stream.seek(self.from_.get(log, 0))
                yield from stream

    def about(self, written: Sequence[Written]) -> tuple[int, int]:
        """Most bytes about one of them; and the bytes of what is loud and names no record, shared among them."""
        sizes, other = Counter[Origin](), 0
        poisoned = {one.origin for one in written}
        for line in self.lines():
            entry = _entry(line)
            named = list(_origins(entry))
            for origin in named:
                sizes[origin] += len(line) // len(named)
            if not named and entry.get("level", "error") in LOUD:
                other += len(line)
        return max(sizes[one] for one in poisoned), other // len(written)

    def holds(self, words: Collection[bytes]) -> list[bytes]:
        """Lines in which one of these stands."""
        return [line for line in self.lines() if any(one in line for one in words)]


def _entry(line: bytes) -> dict[str, Any]:
    """A line that is no JSON is one that nobody meant to write: loud."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _origins(entry: Mapping[str, Any]) -> Iterator[Origin]:
    if "topic" in entry and "partition" in entry:
        for offset in entry.get("offsets", [entry.get("offset", -1)]):
            yield str(entry["topic"]), int(entry["partition"]), int(offset)


async def outcomes(world: SystemClient, reading_id: UUID) -> list[dict[str, Any]]:
    """Wait until the ledger has judged the reading; answers what it said."""

    async def find() -> list[dict[str, Any]]:
        records = await world.records(SYNC_OUTCOMES.name)
        return [json.loads(one.value) for one in records if str(reading_id).encode() in (one.value or b"")]

    return await until(find)


async def answers(world: SystemClient, command_id: str) -> set[bytes]:
    """Wait until the command is answered; copies of one answer are one."""

    async def find() -> set[bytes]:
        records = await world.records(COMMAND_RESULTS.name)
        return {one.value for one in records if command_id.encode() in one.value}

    return await until(find)
