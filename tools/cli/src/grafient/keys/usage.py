"""Which key-encryption keys are named: by rows of connector and syncer, and by records on the topic of credentials."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from common.crypto.envelopes import Binding, Envelope
from common.database import Database, make_engine
from common.kafka.ranges import range_of, reader, records_of
from common.kafka.tolerant_consumer import TolerantConsumer
from common.settings import DatabaseUrl, KafkaSettings
from contract.cloudevents import Record
from contract.topics import CREDENTIALS
from pydantic import SecretStr
from rich.progress import Progress
from sqlalchemy import text

from grafient.cli.output import progress_console

TABLES = {"connector": "connector.integrations", "syncer": "syncer.credentials"}
NO_ID = "(no key ID)"
BEFORE_ALL = UUID(int=0)
AT_ONCE = 1000

_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")


class UsageSettings(KafkaSettings):
    """Where keys are named."""

    database_url: DatabaseUrl
    """Of a role that may read the schemas of connector and syncer, and write the connector's."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed key in a table."""

    table: str
    """`connector` or `syncer`."""
    place: Binding
    key_id: str
    envelope: Envelope = field(repr=False)


@dataclass(slots=True)
class OnTopic:
    """What records on the topic name, as far as it was read."""

    every: Counter[str] = field(default_factory=Counter)
    """By key ID, every record that can be read, superseded ones too."""
    newest: dict[bytes, str] = field(default_factory=dict)
    """By the record's key, the key ID that its newest record names; nothing where that is a tombstone."""

    def take(self, record: Record) -> None:
        key_id = _named_by(record)
        self.newest.pop(record.key or b"", None)
        if key_id is not None:
            self.every[key_id] += 1
            self.newest[record.key or b""] = key_id

    def others(self, current: str) -> int:
        """How many newest records name another key."""
        return sum(key_id != current for key_id in self.newest.values())


def _named_by(record: Record) -> str | None:
    """The key ID in a CredentialSealed; None for a tombstone, a marker and what nobody can read."""
    try:
        return shown(json.loads(record.value or b"")["envelope"]["key_id"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def shown(key_id: object) -> str:
    """A key ID as it may be printed: whatever else stands in its place may be a secret."""
    return key_id if isinstance(key_id, str) and _KEY_ID.fullmatch(key_id) else NO_ID


@asynccontextmanager
async def database_of(url: SecretStr) -> AsyncIterator[Database]:
    """The connector's tables by name, others by name and schema."""
    database = Database(make_engine(url, schema="connector"))
    try:
        yield database
    finally:
        await database.close()


async def named_in(database: Database, table: str) -> Counter[str]:
    """How many rows of the table name each key."""
    query = f"SELECT envelope ->> 'key_id', count(*) FROM {TABLES[table]} WHERE envelope IS NOT NULL GROUP BY 1"  # noqa: S608 - a constant
    async with database.transaction() as connection:
        rows = (await connection.execute(text(query))).all()
    found = Counter[str]()
    for key_id, count in rows:
        found[shown(key_id)] += count
    return found


async def sealed_in(database: Database, table: str) -> AsyncIterator[list[Sealed]]:
    """Every sealed key of the table, in batches."""
    query = text(f"""
        SELECT integration_id, account_id, credential_version, envelope FROM {TABLES[table]}
        WHERE envelope IS NOT NULL AND integration_id > :after ORDER BY integration_id LIMIT {AT_ONCE}
    """)  # noqa: S608 - only constants are put in
    after = BEFORE_ALL
    while True:
        async with database.transaction() as connection:
            rows = (await connection.execute(query, {"after": after})).all()
        if not rows:
            return
        yield [
            Sealed(
                table,
                Binding(row.account_id, row.integration_id, row.credential_version),
                shown(row.envelope.get("key_id")),
                row.envelope,
            )
            for row in rows
        ]
        after = rows[-1].integration_id


class CredentialsTopic:
    """The topic of credentials, read from its start, and on from there each time."""

    def __init__(self, consumer: TolerantConsumer) -> None:
        self._consumer = consumer
        self._next = dict.fromkeys(range(CREDENTIALS.partitions), 0)
        self.found = OnTopic()

    async def read_on(self, told: Callable[[int, int], None] = lambda _read, _total: None) -> OnTopic:
        """Read what is new; `told` hears how many records were read, and of how many."""
        spans = await range_of(self._consumer, CREDENTIALS, self._next)
        total, read = sum(span.count for span in spans.values()), 0
        async for records in records_of(self._consumer, spans):
            for record in records:
                self.found.take(record)
            read += len(records)
            told(read, total)
        self._next = {partition.partition: span.end for partition, span in spans.items()}
        return self.found


@asynccontextmanager
async def credentials_topic(settings: KafkaSettings) -> AsyncIterator[CredentialsTopic]:
    async with reader(settings) as consumer:
        yield CredentialsTopic(consumer)


async def usage(settings: UsageSettings, database: Database) -> dict[str, Counter[str]]:
    """How many rows of connector and syncer, and records on the topic, name each key."""
    named = {where: await named_in(database, where) for where in TABLES}
    async with credentials_topic(settings) as topic:
        with Progress(console=progress_console, transient=True) as bar:
            task = bar.add_task("reading the topic", total=None)
            found = await topic.read_on(lambda read, total: bar.update(task, completed=read, total=total))
    return named | {"topic": found.every}
