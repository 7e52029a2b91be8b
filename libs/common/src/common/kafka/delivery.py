"""What the failure policy knows of records that were delivered and are not committed."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from contract.cloudevents import Event, MalformedError, Record

MAX_BATCH = 600
"""Records of a batch."""
MAX_VALUES_BYTES = 2_000_000
"""Of the values of a batch: decoded they take up to ten times as much. A larger record is a batch of its own."""


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
    """What is known of a record that is delivered again, or was dead-lettered. Waits do not use up its tries."""

    waits: int = 0
    failures: int = 0
    handled: bool = False
    dead_lettered: bool = False


class Unfinished:
    """What is known of the records that come again; of nearly all deliveries nothing has to be kept."""

    def __init__(self) -> None:
        self._pending: dict[RecordRef, Pending] = {}
        self._oldest = 0
        self._is_open = False

    def begin(self, records: Iterable[Record]) -> None:
        """`records` were delivered, maybe again."""
        self._oldest = min((record.timestamp for record in records), default=0)
        self._is_open = True

    def waits_since(self, *, behind: bool) -> int | None:
        """When the oldest record that waits was written, in ms since 1970; None: none waits.

        `behind`: there are more on the topic, so that the last delivery still shows how old they are.
        """
        return self._oldest if self._is_open or behind else None

    def __contains__(self, record: Record) -> bool:
        return ref_of(record) in self._pending

    def state(self, record: Record) -> Pending:
        """What is known of a record, to be changed; its partition may have been revoked meanwhile."""
        return self._pending.setdefault(ref_of(record), Pending())

    def has_failed(self, entry: DecodedRecord) -> bool:
        return bool(self._pending) and self._pending.get(ref_of(entry.record), _NOTHING).failures > 0

    def uncounted(self, entries: Sequence[DecodedRecord]) -> Sequence[DecodedRecord]:
        """Those that no earlier delivery handled."""
        if not self._pending:
            return entries
        return [one for one in entries if not self._pending.get(ref_of(one.record), _NOTHING).handled]

    def keep(self, records: Iterable[Record], handled: Iterable[Record]) -> None:
        """`records` come again; of these, `handled` are counted already."""
        for record in records:
            self.state(record)
        for record in handled:
            self.state(record).handled = True

    def end(self, records: Iterable[Record]) -> int:
        """`records` do not come again; answers how many of them were dead-lettered."""
        self._is_open = False
        if not self._pending:
            return 0
        return sum(self._pending.pop(ref_of(record), _NOTHING).dead_lettered for record in records)

    def forget(self, partitions: Collection[tuple[str, int]]) -> None:
        """Other processes handle these partitions (topic, number) from now on."""
        self._is_open = False
        self._pending = {ref: one for ref, one in self._pending.items() if (ref.topic, ref.partition) not in partitions}


_NOTHING = Pending()


@dataclass(slots=True)
class Delivery:
    """One delivery: what was handled, what to dead-letter at its end, and what to retry."""

    handled: list[Record] = field(default_factory=list)

    rejected: list[tuple[Record, MalformedError]] = field(default_factory=list)
    failing: int = 0
    """Records that failed alone for an unknown reason."""
    tries: int = 0
    """Most failures of a record that has to be retried; 0: none has."""
