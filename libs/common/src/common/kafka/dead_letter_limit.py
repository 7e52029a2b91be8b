"""Stops dead-lettering, with an alert, where most records fail for an unknown reason: they are not to blame."""

import structlog

from common.metrics import CONSUMER_STOPPED

log = structlog.get_logger()

CAPACITY = 10.0
"""Records of a topic that may be dead-lettered for an unknown reason; more point to a new version, or to a table."""
REFILL = 0.1
"""Of that capacity, by each record that is handled."""


class DeadLetterLimit:
    """How many more records of one topic may be dead-lettered for an unknown reason."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._left = CAPACITY
        CONSUMER_STOPPED.labels(topic).set(0)

    def take(self) -> bool:
        """Use one unit; False, and an alert, where none is left: the record has to wait."""
        if self._left >= 1:
            self._left -= 1
            return True
        CONSUMER_STOPPED.labels(self._topic).set(1)
        log.error(
            "consumer.stopped",
            topic=self._topic,
            next_step="nothing more is dead-lettered: roll back, or fix the cause and restart",
        )
        return False

    def record_handled(self, count: int = 1) -> None:
        """`count` records were handled: refill."""
        if self._left >= CAPACITY:
            return
        self._left = min(CAPACITY, self._left + count * REFILL)
        if self._left >= CAPACITY:
            CONSUMER_STOPPED.labels(self._topic).set(0)
