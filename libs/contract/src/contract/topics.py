"""Every topic of the system, declared once: what it carries, for how long, and in how many partitions.

A partition count never changes in place, for that would split the order of a key: `grafient topics grow` raises it,
and the setting TOPIC_PARTITIONS then names it. Keys are hashed with Kafka's murmur2 (the default of the Java clients and
aiokafka; librdkafka needs `partitioner=murmur2_random`).
"""

from dataclasses import dataclass, field
from datetime import timedelta

from contract.messages import (
    COMMANDS,
    INTEGRATION_STATES,
    CommandRejected,
    CommandSucceeded,
    CostRecorded,
    CredentialSealed,
    Message,
    SyncCompleted,
    SyncFailed,
    SyncRequested,
    WindowRead,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MAX_RECORD_BYTES = 900_000
MAX_DEAD_LETTER_BYTES = 1_900_000
DURABLE_REPLICAS = 3
"""Replicas of each topic in production: one broker may be lost, and a write has two more."""
PURGE_VERSION = 0
"""`credential_version` of a tombstone on the partition that a key had before its topic grew: below all that is held, so
that consumers keep what they have, and compaction purges the partition."""
ALL = "all"
"""Key of a SyncRequested for all active integrations."""


@dataclass(frozen=True, slots=True, eq=False)
class Topic:
    """One topic and its contract."""

    name: str
    messages: tuple[type[Message], ...]
    partitions: int
    """Where the setting TOPIC_PARTITIONS names no other count."""
    config: dict[str, str]
    secret: bool = False
    """Records may hold a key: dead letters keep only size, hash, reason and origin."""
    tombstones: bool = False
    """A record without a value is a message of this topic."""
    max_record_bytes: int = MAX_RECORD_BYTES
    keyed_by: str = "integration_id"
    """Field of the messages that is the key of their records."""
    types: dict[str, type[Message]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", {message.__name__: message for message in self.messages})

    def key_of(self, message: Message) -> str:
        """The key that the record of `message` should have."""
        return str(getattr(message, self.keyed_by) or ALL)

    @property
    def compacted(self) -> bool:
        """Whether the broker keeps the newest record of each key, however old it is."""
        return self.config.get("cleanup.policy") == "compact"

    def config_with(self, replicas: int) -> dict[str, str]:
        """What a topic with `replicas` should have: two in sync for each write, where one of three may be lost."""
        return self.config | {
            "min.insync.replicas": "2" if replicas >= DURABLE_REPLICAS else "1",
            "unclean.leader.election.enable": "false",
        }

    @property
    def retention(self) -> timedelta:
        """How long the broker keeps a record; raises KeyError for a compacted topic."""
        return timedelta(milliseconds=int(self.config["retention.ms"]))


def count_to_grow_to(agreed: int, found: int) -> int:
    """The lowest count with which a topic of `found` partitions is right again, where `agreed` were expected.

    A multiple of the lower one: so a key's later records are on a partition with the same or a higher number.
    """
    lower = min(agreed, found)
    return lower * -(-max(agreed, found) // lower)


def _kept(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS)}


BROKER_TIME = {"message.timestamp.type": "LogAppendTime"}
"""Programs of others write these topics: their clients set any time, and retention depends on it."""
COMPACTED = {"cleanup.policy": "compact"}
PURGED_HOURLY = COMPACTED | {
    "segment.ms": str(HOUR_MS),
    "max.compaction.lag.ms": str(HOUR_MS),
    "delete.retention.ms": str(HOUR_MS),
    "min.cleanable.dirty.ratio": "0.01",
}
"""A tombstone alone does not purge: the active segment is never compacted, so it has to roll."""

COMMANDS_TOPIC = Topic("xai.commands.v1", COMMANDS, 6, _kept(7) | BROKER_TIME, secret=True, keyed_by="account_id")
COMMAND_RESULTS = Topic(
    "xai.command-results.v1", (CommandSucceeded, CommandRejected), 6, _kept(7), keyed_by="account_id"
)
INTEGRATIONS = Topic("xai.integrations.v1", INTEGRATION_STATES, 6, COMPACTED)
CREDENTIALS = Topic("xai.credentials.v1", (CredentialSealed,), 6, PURGED_HOURLY, secret=True, tombstones=True)
SYNC_REQUESTS = Topic("xai.sync-requests.v1", (SyncRequested,), 6, _kept(7) | BROKER_TIME)
COSTS = Topic("xai.costs.v1", (CostRecorded, WindowRead), 6, _kept(400))
SYNC_OUTCOMES = Topic("xai.sync-outcomes.v1", (SyncCompleted, SyncFailed), 6, _kept(30))
DEAD_LETTERS = Topic(
    "xai.dead-letters.v1",
    (),
    3,
    _kept(30) | {"max.message.bytes": str(2 * 1024 * 1024)},
    max_record_bytes=MAX_DEAD_LETTER_BYTES,
)

TOPICS = (
    COMMANDS_TOPIC,
    COMMAND_RESULTS,
    INTEGRATIONS,
    CREDENTIALS,
    SYNC_REQUESTS,
    COSTS,
    SYNC_OUTCOMES,
    DEAD_LETTERS,
)
