"""Read the topic of dead letters: which are open, and what they hold."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from common.kafka.ranges import range_of, reader, records_of
from common.settings import KafkaSettings
from contract.cloudevents import Record
from contract.dead_letters import DeadLetterHeaders, Original, closed_by
from contract.topics import DEAD_LETTERS

from grafient.cli.progress import Update


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter, by its newest record."""

    dead_letter_id: str
    service: str
    topic: str
    partition: int
    offset: int
    """Of the record in its own topic."""
    kept_in: int
    """Partition of the topic of dead letters."""
    at: datetime
    """When the service dead-lettered it."""
    reason: str
    detail: str
    attempts: int
    redrives: int
    size: int
    """Bytes of its value."""
    closed: str | None
    """`redriven`, `dropped`, `answered` (its sender knows the reason), or None while it is open: somebody must act."""
    original: Original | None
    """None where the content was not kept: it may have held a key, was too large, or could not be read."""


async def read_dead_letters(
    settings: KafkaSettings, since: datetime | None = None, progress: Update = lambda _done, _total: None
) -> dict[str, DeadLetter]:
    """The dead letters since `since`, by ID, oldest first."""
    found: list[Record] = []
    async with reader(settings) as consumer:
        spans = await range_of(consumer, DEAD_LETTERS, since)
        total = sum(span.count for span in spans.values())
        async for records in records_of(consumer, spans):
            found += records
            progress(len(found), total)
    return dead_letters_of(sorted(found, key=lambda one: (one.timestamp, one.partition, one.offset)))


def dead_letters_of(records: Iterable[Record]) -> dict[str, DeadLetter]:
    """The dead letters in `records`, by ID, in the order of their first record; other records are ignored."""
    found: dict[str, DeadLetter] = {}
    for record in records:
        if closed := closed_by(record):
            dead_letter_id, state = closed
            if dead_letter_id in found:
                found[dead_letter_id] = replace(found[dead_letter_id], closed=state)
        elif headers := DeadLetterHeaders.read(record):
            found[headers.id] = _dead_letter(record, headers)
    return found


def _dead_letter(record: Record, headers: DeadLetterHeaders) -> DeadLetter:
    return DeadLetter(
        dead_letter_id=headers.id,
        service=headers.service,
        topic=headers.topic,
        partition=headers.partition,
        offset=headers.offset,
        kept_in=record.partition,
        at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        reason=headers.reason,
        detail=headers.detail,
        attempts=headers.attempts,
        redrives=headers.redrives,
        size=len(record.value or b"") if headers.size is None else headers.size,
        closed="answered" if headers.answered else None,
        original=headers.original(record.value),
    )
