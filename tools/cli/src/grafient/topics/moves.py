"""Which records of a compacted topic have to move once it has more partitions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from common.kafka.placement import partition_of
from contract.cloudevents import MalformedError, Marker, Record, Tombstone, decode
from contract.messages import INTEGRATION_STATES, CredentialSealed, Message
from contract.topics import Topic

Place = tuple[int, int]
"""Partition and offset."""
DELETES_ALL_WRAPS = 1 << 62


class State(NamedTuple):
    """The newest record of a key on a partition: what compaction leaves."""

    rank: tuple[int, int]
    """The higher one is newer, wherever it is."""
    offset: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class Moves:
    """What is to be published."""

    copies: Mapping[Place, int]
    """By the place of a record, the partition that gets a copy."""
    purges: Sequence[tuple[bytes, int]]
    """Keys, and partitions on which their records are to be purged."""


@dataclass(slots=True)
class CompactedTopic:
    """The newest records of a topic, as far as it was read."""

    topic: Topic
    keys: dict[bytes, dict[int, State]] = field(default_factory=dict)
    """By key and partition."""
    unreadable: Counter[int] = field(default_factory=Counter)
    """By partition, records that cannot be read; they stay where they are."""

    def add(self, record: Record) -> None:
        """Records of a partition come in their order."""
        try:
            message = decode(record, self.topic).message
            if isinstance(message, Marker):
                return
            rank = _rank(message)
        except (MalformedError, ValueError, LookupError):
            self.unreadable[record.partition] += 1
            return
        state = State(rank, record.offset, deleted=isinstance(message, Tombstone))
        self.keys.setdefault(record.key or b"", {})[record.partition] = state

    def moves(self, partitions: int) -> Moves:
        """What is left to do until each key's newest state is on its partition of so many, and purged elsewhere.

        Nothing once that was published: whoever was interrupted reads again, and continues.
        """
        copies: dict[Place, int] = {}
        purges: list[tuple[bytes, int]] = []
        for key, states in self.keys.items():
            target = partition_of(key, partitions)
            newest = max(states, key=lambda one: states[one].rank)
            held = states.get(target)
            if not states[newest].deleted if held is None else held.rank < states[newest].rank:
                copies[newest, states[newest].offset] = target
            if self.topic.tombstones:
                purges += [(key, one) for one, state in states.items() if one != target and not state.deleted]
        return Moves(copies, purges)


def _rank(message: Message) -> tuple[int, int]:
    """Raises ValueError or LookupError for a tombstone without its version."""
    if isinstance(message, Tombstone):
        return int(message.headers["credential_version"]), DELETES_ALL_WRAPS
    if isinstance(message, CredentialSealed):
        return message.credential_version, message.wrap_version
    if isinstance(message, INTEGRATION_STATES):
        return message.version, 0
    raise ValueError(f"no compacted topic carries {type(message).__name__}")
