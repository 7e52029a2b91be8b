"""Publishing what could not be read or must not be retried: byte for byte, with its origin and the reason."""

from functools import partial

import structlog
from contract.cloudevents import UNREADABLE_NAME, MalformedError, Record
from contract.dead_letters import DeadLetterHeaders
from contract.topics import DEAD_LETTERS, Topic

from common.kafka.publisher import Publisher, check_size
from common.metrics import DEAD_LETTERED

log = structlog.get_logger()

LOGGED = {"topic", "partition", "offset", "reason", "detail", "attempts", "answered"}


class DeadLetters:
    """Publishes dead letters, and waits until the broker has them."""

    def __init__(self, publisher: Publisher, service: str) -> None:
        self._publisher = publisher
        self._service = service

    async def put(
        self, record: Record, topic: Topic, error: MalformedError, *, attempts: int = 1, answered: bool = False
    ) -> None:
        """Dead-letter `record` for the reason that `error` names. A second copy has the same `dead_letter_id`.

        `answered`: its sender knows the reason, so the dead letter is closed from the start.
        """
        make = partial(DeadLetterHeaders.of, record, self._service, error, attempts=attempts, answered=answered)
        headers = make(keep=not topic.secret)
        body, key = record.value or b"", record.key or headers.id.encode()
        if topic.secret or not _can_be_kept(record, headers):
            headers = make(keep=False)
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
