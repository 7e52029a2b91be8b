"""Dead letters as operators see them: which stand open, what they hold, and how one goes back to its topic."""

import json
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from common.kafka.dead_letters import REDRIVES
from contract.cloudevents import Record

CLOSED = "dead_letter_closed"
"""Header of the record that ends a dead letter: `redriven` or `dropped`."""


@dataclass(frozen=True, slots=True)
class Original:
    """The record as it came."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


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
    """The dead letters that `records` tell of, by ID, in the order of their first record; what is none is left out."""
    found: dict[str, Letter] = {}
    for record in records:
        headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
        letter_id = headers.get("dead_letter_id", "")
        if headers.get(CLOSED):
            if letter_id in found:
                found[letter_id] = replace(found[letter_id], closed=headers[CLOSED])
        elif letter_id:
            found[letter_id] = _letter(record, headers)
    return found


def _letter(record: Record, headers: Mapping[str, str]) -> Letter:
    return Letter(
        letter_id=headers["dead_letter_id"],
        service=headers.get("dead_letter_service", ""),
        topic=headers.get("dead_letter_topic", ""),
        partition=_number(headers, "dead_letter_partition"),
        offset=_number(headers, "dead_letter_offset"),
        kept_in=record.partition,
        at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        reason=headers.get("dead_letter_reason", ""),
        detail=headers.get("dead_letter_detail", ""),
        attempts=_number(headers, "dead_letter_attempts"),
        redrives=_number(headers, REDRIVES),
        size=_number(headers, "dead_letter_size") if "dead_letter_size" in headers else len(record.value or b""),
        closed=None,
        original=_original(record, headers),
    )


def _original(record: Record, headers: Mapping[str, str]) -> Original | None:
    if "dead_letter_headers" not in headers:
        return None
    key = headers.get("dead_letter_key", "")
    value = None if headers.get("dead_letter_value") == "null" else record.value
    pairs = json.loads(headers["dead_letter_headers"])
    return Original(
        key=b64decode(key) if key else None,
        value=value,
        headers=tuple((name, None if text is None else b64decode(text)) for name, text in pairs),
    )


def again(letter: Letter, original: Original) -> list[tuple[str, bytes]]:
    """Headers under which the original is sent again: as they were, with the count that keeps it from going round for ever."""
    kept = [(name, value or b"") for name, value in original.headers if name != REDRIVES]
    return [*kept, (REDRIVES, str(letter.redrives + 1).encode())]


def _number(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "")
    return int(text) if text.isdigit() else 0
