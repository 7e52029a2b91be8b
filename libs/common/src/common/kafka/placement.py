"""Records that lie where the order of their key is lost: they are handled, counted, and reported once a minute."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import structlog
from aiokafka.partitioner import DefaultPartitioner
from contract.cloudevents import Event, Marker, Record, Tombstone
from contract.messages import Message
from contract.topics import PURGE_VERSION, Topic

from common.metrics import MISPLACED, declare

log = structlog.get_logger()

NO_KEY, OTHER_KEY, OTHER_PARTITIONER = "no_key", "other_key", "other_partitioner"
NEXT_STEPS = {
    NO_KEY: "give each record the key that docs/topics.md names",
    OTHER_KEY: "give each record the key that docs/topics.md names",
    OTHER_PARTITIONER: "set the partitioner of the client to Kafka's murmur2: docs/topics.md",
}
EVERY = 60.0
"""Seconds between two warnings about a topic."""
MAX_SOURCE = 200
"""Characters of a source that are logged."""


class Placement:
    """Looks at the records of one topic."""

    def __init__(self, topic: Topic, partitions: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`partitions`: how many all who write it agree on. `clock`: seconds that never go back."""
        self._topic = topic
        self._partitions = partitions
        self._clock = clock
        self._silent_until = 0.0
        declare(MISPLACED, [topic.name], NEXT_STEPS)

    def check(self, record: Record, event: Event[Any]) -> None:
        """Count `record` where it is misplaced."""
        why = None if _belongs_everywhere(event.message) else self._why(record, event)
        if why is None:
            return
        MISPLACED.labels(self._topic.name, why).inc()
        now = self._clock()
        if now >= self._silent_until:
            self._silent_until = now + EVERY
            log.warning(
                "record.misplaced",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                why=why,
                ce_source=event.source[:MAX_SOURCE],
                next_step=NEXT_STEPS[why],
            )

    def _why(self, record: Record, event: Event[Any]) -> str | None:
        if not record.key:
            return NO_KEY
        if not isinstance(event.message, Tombstone) and record.key != self._topic.key_of(event.message).encode():
            return OTHER_KEY
        return None if record.partition == partition_of(record.key, self._partitions) else OTHER_PARTITIONER


def _belongs_everywhere(message: Message) -> bool:
    if isinstance(message, Tombstone):
        return message.headers.get("credential_version") == str(PURGE_VERSION)
    return isinstance(message, Marker)


@lru_cache(maxsize=10_000)
def partition_of(key: bytes, partitions: int) -> int:
    """Where Kafka's own clients put a key; it takes as long as the rest of a record's decoding."""
    every = list(range(partitions))
    partition: int = DefaultPartitioner()(key, every, every)
    return partition
