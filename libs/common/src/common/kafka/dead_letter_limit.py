"""When messages fail for an unknown reason and hardly one is handled, they are not to blame: stop giving them up, and say so."""

import structlog

from common.metrics import CONSUMER_STOPPED

log = structlog.get_logger()

ROOM = 10.0
"""Messages of a topic that may be given up for an unknown reason; more are to blame on a new version, or on a table."""
GIVEN_BACK = 0.1
"""Of that room, by each message that is handled."""


class Breaker:
    """How many more messages of each topic may go to dead letters for an unknown reason."""

    def __init__(self) -> None:
        self._room: dict[str, float] = {}

    def may_give_up(self, topic: str) -> bool:
        """Whether one more message may go; it counts as gone. Where it may not, it waits, and whoever runs this is told."""
        room = self._room.get(topic, ROOM)
        if room >= 1:
            self._room[topic] = room - 1
            return True
        CONSUMER_STOPPED.labels(topic).set(1)
        log.error(
            "consumer.stopped", topic=topic, next_step="nothing is given up any more: roll back, or mend and restart"
        )
        return False

    def handled(self, topic: str, count: int = 1) -> None:
        """So many messages were handled."""
        if topic not in self._room:
            return
        room = self._room[topic] + count * GIVEN_BACK
        if room < ROOM:
            self._room[topic] = room
            return
        del self._room[topic]
        CONSUMER_STOPPED.labels(topic).set(0)
