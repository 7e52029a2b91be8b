"""Which keys are named: by sealed credentials of connector and syncer, and by records on the topic of credentials."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import connector.operations.sealed
import syncer.operations.sealed
from common.crypto.envelopes import Binding, Envelope
from common.kafka.ranges import range_of, reader, records_of
from common.kafka.tolerant_consumer import TolerantConsumer
from common.settings import DatabaseUrl, KafkaSettings
from contract.cloudevents import MalformedError, Record, body_of
from contract.topics import CREDENTIALS

from grafient.cli.database import tables_of
from grafient.cli.progress import Update, progress_bar

SERVICES = {"connector": connector.operations.sealed, "syncer": syncer.operations.sealed}
NO_ID = "(no key ID)"
BEFORE_ALL = UUID(int=0)
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")


class UsageSettings(KafkaSettings):
    """Where keys are named."""

    database_url: DatabaseUrl
    """Of a role that may read the schemas of connector and syncer, and write the connector's."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed credential in a table."""

    service: str
    binding: Binding
    envelope: Envelope = field(repr=False)

    @property
    def key_id(self) -> str:
        return shown(self.envelope.get("key_id"))


@dataclass(slots=True)
class OnTopic:
    """What records on the topic name, as far as it was read."""

    every: Counter[str] = field(default_factory=Counter)
    """By key ID, every record that can be read, superseded ones too."""
    newest: dict[tuple[int, bytes], str] = field(default_factory=dict)
    """By partition and key of the record, the key ID that the newest one names; nothing where that is a tombstone.

    What compaction leaves: a key may be on several partitions, where the topic has grown.
    """

    def add(self, record: Record) -> None:
        key_id, key = _named_by(record), (record.partition, record.key or b"")
        self.newest.pop(key, None)
        if key_id is not None:
            self.every[key_id] += 1
            self.newest[key] = key_id

    def others(self, current: str) -> int:
        """How many newest records name another key."""
        return sum(key_id != current for key_id in self.newest.values())


def _named_by(record: Record) -> str | None:
    """The key ID in a CredentialSealed; None for a tombstone, a marker and what nobody can read."""
    try:
        return shown(json.loads(body_of(record))["envelope"]["key_id"])
    except (MalformedError, ValueError, LookupError, TypeError, RecursionError):
        return None


def shown(key_id: object) -> str:
    """A key ID as it may be printed: anything else in its place may be a secret."""
    return key_id if isinstance(key_id, str) and _KEY_ID.fullmatch(key_id) else NO_ID


async def count_by_key(settings: UsageSettings, service: str) -> Counter[str]:
    """How many sealed credentials in the tables of `service` name each key."""
    async with tables_of(service, settings.database_url) as database, database.transaction() as connection:
        counts = await SERVICES[service].count_by_key(connection)
    found = Counter[str]()
    for key_id, count in counts.items():
        found[shown(key_id)] += count
    return found


async def sealed_in(settings: UsageSettings, service: str) -> AsyncIterator[list[Sealed]]:
    """The sealed credentials in the tables of `service`, in batches, ordered by integration."""
    after = BEFORE_ALL
    async with tables_of(service, settings.database_url) as database:
        while True:
            async with database.transaction() as connection:
                rows = await SERVICES[service].credentials_after(connection, after)
            if not rows:
                return
            yield [Sealed(service, binding, envelope) for binding, envelope in rows]
            after = rows[-1][0].integration_id


class CredentialsTopic:
    """The topic of credentials, read from its start, and each time on from there."""

    def __init__(self, consumer: TolerantConsumer) -> None:
        self._consumer = consumer
        self._next: dict[int, int] | None = None
        self.found = OnTopic()

    async def read_on(self, progress: Update) -> OnTopic:
        """Read what is new."""
        spans = await range_of(self._consumer, CREDENTIALS, self._next)
        total, read = sum(span.count for span in spans.values()), 0
        async for records in records_of(self._consumer, spans):
            for record in records:
                self.found.add(record)
            progress(read := read + len(records), total)
        self._next = {partition.partition: span.end for partition, span in spans.items()}
        return self.found


@asynccontextmanager
async def credentials_topic(settings: KafkaSettings) -> AsyncIterator[CredentialsTopic]:
    async with reader(settings) as consumer:
        yield CredentialsTopic(consumer)


async def key_usage(settings: UsageSettings) -> dict[str, Counter[str]]:
    """How many credentials of connector and syncer, and records on the topic, name each key."""
    named = {service: await count_by_key(settings, service) for service in SERVICES}
    async with credentials_topic(settings) as topic:
        with progress_bar("reading the topic") as progress:
            found = await topic.read_on(progress)
    return named | {"topic": found.every}
