"""Where a message goes that could not be read or must not be retried: byte for byte, with its origin and the reason."""

import base64
import hashlib
import json

import structlog
from contract.cloudevents import MalformedError, Record
from contract.topics import DEAD_LETTERS, Topic

from common.kafka.publisher import Publisher, check_size
from common.metrics import DEAD_LETTERED

log = structlog.get_logger()

MAX_DETAIL = 1000
REDRIVES = "dead_letter_redrives"
"""Header of a record that was sent to its topic again, and of its dead letter: how many times so far."""


class DeadLetters:
    """Publishes what is given up, and waits until the broker has it."""

    def __init__(self, publisher: Publisher, service: str) -> None:
        self._publisher = publisher
        self._service = service

    async def put(self, record: Record, topic: Topic, error: MalformedError, *, attempts: int = 1) -> None:
        """Give `record` up for the reason that `error` names. A second copy has the same `dead_letter_id`."""
        headers = {
            "dead_letter_id": f"{self._service}:{record.topic}:{record.partition}:{record.offset}",
            "dead_letter_service": self._service,
            "dead_letter_topic": record.topic,
            "dead_letter_partition": str(record.partition),
            "dead_letter_offset": str(record.offset),
            "dead_letter_timestamp_ms": str(record.timestamp),
            "dead_letter_reason": error.reason,
            "dead_letter_detail": error.detail[:MAX_DETAIL],
            "dead_letter_attempts": str(attempts),
            REDRIVES: str(redrives_of(record)),
        }
        body, key = b"", headers["dead_letter_id"].encode()
        if topic.secret or not _fits(record, headers):
            headers |= _fingerprint(record)
        else:
            body, key = record.value or b"", record.key or key
            headers |= _original(record)
        await self._publisher.send(DEAD_LETTERS, body, key=key, headers=headers)
        DEAD_LETTERED.labels(record.topic, error.reason).inc()
        log.warning("message.dead_lettered", **{name.removeprefix("dead_letter_"): headers[name] for name in TOLD})


MAX_REDRIVES_DIGITS = 4

TOLD = (
    "dead_letter_topic",
    "dead_letter_partition",
    "dead_letter_offset",
    "dead_letter_reason",
    "dead_letter_detail",
    "dead_letter_attempts",
)


def redrives_of(record: Record) -> int:
    """How many times an operator has sent `record` again; 0 where its header does not say so in digits."""
    told = [value for name, value in record.headers if name == REDRIVES and value]
    return int(told[-1]) if told and told[-1].isdigit() and len(told[-1]) <= MAX_REDRIVES_DIGITS else 0


def _fits(record: Record, headers: dict[str, str]) -> bool:
    """Whether the whole record can be kept; one that came compressed can be larger than any topic takes."""
    try:
        check_size(DEAD_LETTERS, record.value, key=record.key or b"-", headers=headers | _original(record))
    except ValueError:
        return False
    return True


def _fingerprint(record: Record) -> dict[str, str]:
    """Of a record that may hold a key in the clear, or is too large to keep: enough to recognise it, nothing to read."""
    body = record.value or b""
    return {"dead_letter_size": str(len(body)), "dead_letter_sha256": hashlib.sha256(body).hexdigest()}


def _original(record: Record) -> dict[str, str]:
    """The headers and key as they were, which need not be text, so that the record can be sent again as it came."""
    headers = [[name, None if value is None else base64.b64encode(value).decode()] for name, value in record.headers]
    return {
        "dead_letter_headers": json.dumps(headers),
        "dead_letter_key": "" if record.key is None else base64.b64encode(record.key).decode(),
        "dead_letter_value": "null" if record.value is None else "bytes",
    }
