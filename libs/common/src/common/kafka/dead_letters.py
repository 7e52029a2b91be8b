"""Publishing what could not be read or must not be retried: byte for byte, with its origin and the reason."""

import structlog
from contract.cloudevents import UNREADABLE_NAME, MalformedError, Record
from contract.dead_letters import DeadLetterHeaders
from contract.topics import DEAD_LETTERS, Topic

from common.kafka.publisher import Publisher, check_size
from common.metrics import DEAD_LETTERED

log = structlog.get_logger()

LOGGED = {"topic", "partition", "offset", "reason", "detail", "attempts"}


class DeadLetters:
    """Publishes dead letters, and waits until the broker has them."""

    def __init__(self, publisher: Publisher, service: str) -> None:
        self._publisher = publisher
        self._service = service

    async def put(self, record: Record, topic: Topic, error: MalformedError, *, attempts: int = 1) -> None:
        """Dead-letter `record` for the reason that `error` names. A second copy has the same `dead_letter_id`."""
        headers = DeadLetterHeaders.of(record, self._service, error, attempts=attempts, keep=not topic.secret)
        body, key = record.value or b"", record.key or headers.id.encode()
        if topic.secret or not _can_be_kept(record, headers):
            headers = DeadLetterHeaders.of(record, self._service, error, attempts=attempts, keep=False)
            body, key = b"", headers.id.encode()
        await self._publisher.send(DEAD_LETTERS, body, key=key, headers=headers.wire())
        DEAD_LETTERED.labels(record.topic, error.reason).inc()
        log.warning("message.dead_lettered", **headers.model_dump(include=LOGGED))


def _can_be_kept(record: Record, headers: DeadLetterHeaders) -> bool:
    """Whether the whole record is known, and fits; one that came compressed can be larger than any topic takes."""
    if UNREADABLE_NAME in dict(record.headers):
        return False
    try:
        check_size(DEAD_LETTERS, record.value, key=record.key or b"-", headers=headers.wire())
    except ValueError:
        return False
    return True
