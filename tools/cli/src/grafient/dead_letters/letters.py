"""Dead letters as operators see them: which are open, and what they hold."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from contract.cloudevents import Record
from contract.dead_letters import DeadLetterHeaders, Original, closed_by


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter; its newest record stands for it."""

    letter_id: str
    service: str
    topic: str
    partition: int
    offset: int
    """Of the record in its own topic."""
    kept_in: int
    """Partition of the dead letters."""
    at: datetime
    """When it was given up."""
    reason: str
    detail: str
    attempts: int
    redrives: int
    size: int
    """Bytes of its value."""
    closed: str | None
    """`redriven`, `dropped`, or None while it stands open."""
    original: Original | None
    """None where the content was not kept: it may have held a key, or was too large."""


def letters_of(records: Iterable[Record]) -> dict[str, Letter]:
    """The dead letters in `records`, by ID, in the order of their first record; other records are left out."""
    found: dict[str, Letter] = {}
    for record in records:
        if closed := closed_by(record):
            letter_id, how = closed
            if letter_id in found:
                found[letter_id] = replace(found[letter_id], closed=how)
        elif headers := DeadLetterHeaders.read(record):
            found[headers.id] = _letter(record, headers)
    return found


def _letter(record: Record, headers: DeadLetterHeaders) -> Letter:
    return Letter(
        letter_id=headers.id,
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
        closed=None,
        original=headers.original(record.value),
    )
