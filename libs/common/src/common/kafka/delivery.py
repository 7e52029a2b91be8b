"""What the failure policy knows of records that were delivered and are not committed."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from contract.cloudevents import Event, MalformedError, Record


class RecordRef(NamedTuple):
    """Where a record is stored."""

    topic: str
    partition: int
    offset: int


def ref_of(record: Record) -> RecordRef:
    return RecordRef(record.topic, record.partition, record.offset)


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
