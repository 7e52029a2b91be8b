"""What the failure policy knows of records that were delivered and are not committed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from contract.cloudevents import Event, MalformedError, Record

MAX_BATCH = 250
"""Records of a batch."""
MAX_VALUES_BYTES = 2_000_000
"""Of the values of a batch: decoded they take about ten times as much. A larger record is a batch of its own."""


class RecordRef(NamedTuple):
    """Where a record is stored."""

    topic: str
    partition: int
    offset: int


def ref_of(record: Record) -> RecordRef:
    return RecordRef(record.topic, record.partition, record.offset)


def portions(records: Sequence[Record], max_records: int) -> Iterator[list[Record]]:
    """`records` in their order, in batches of at most `max_records` and MAX_VALUES_BYTES."""
    portion: list[Record] = []
    size = 0
    for record in records:
        length = len(record.value or b"")
        if portion and (len(portion) == max_records or size + length > MAX_VALUES_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(record)
        size += length
    if portion:
        yield portion


class DecodedRecord(NamedTuple):
    """A record that was decoded."""

    record: Record
    event: Event[Any]


@dataclass(slots=True)
class Pending:
    """What is known of a record that was delivered and is not committed. Waits do not use up its tries."""

    waits: int = 0
    failures: int = 0
    handled: bool = False
    dead_lettered: bool = False


@dataclass(slots=True)
class Delivery:
    """One delivery: what to dead-letter at its end, and what to retry."""

    rejected: list[tuple[Record, MalformedError]] = field(default_factory=list)
    failing: int = 0
    """Records that failed alone for an unknown reason."""
    tries: int = 0
    """Most failures of a record that has to be retried; 0: none has."""
