"""Parts of a service that only remember: a broker that is a list, dead letters, pauses, clocks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import ConsumerRecord
from common.errors import TransientError
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Outgoing, Publisher, check_size
from contract.cloudevents import MalformedError
from contract.topics import Topic
from fastapi import FastAPI


@dataclass(frozen=True, slots=True)
class Published:
    """One record, as the broker would have received it."""

    to: Topic
    body: bytes | None
    raw_key: bytes
    header_pairs: tuple[tuple[str, str], ...]
    partition: int | None = None

    @property
    def topic(self) -> str:
        return self.to.name

    @property
    def key(self) -> str:
        return self.raw_key.decode()

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.header_pairs)

    @property
    def event_id(self) -> str:
        return self.headers["ce_id"]

    @property
    def type(self) -> str:
        return self.headers["ce_type"]

    @property
    def at(self) -> datetime:
        """When the event happened, by its own header."""
        return datetime.fromisoformat(self.headers["ce_time"]).astimezone(UTC)

    @property
    def message(self) -> Any:
        """The message as a consumer reads it."""
        return self.to.types[self.type].model_validate_json(self.body or b"")


class RecordingPublisher(Publisher):
    """Checks and encodes as the real one does, then keeps the record; `refuses` decides what the broker does not accept."""

    def __init__(self, service: str = "test") -> None:
        self._source = f"/grafient/{service}"
        self.published: list[Published] = []
        self.refused: list[Published] = []
        self.refuses: Callable[[Published], bool] = lambda _: False

    def partitions_of(self, topic: Topic) -> int:
        """As many as are declared."""
        return topic.partitions

    async def publish_all(self, records: Sequence[Outgoing]) -> None:
        """What is refused keeps nothing else from being published."""
        for one in records:
            check_size(one.topic, one.body, key=one.key, headers=one.headers)
        is_refused = [await self._is_refused(one) for one in records]
        if any(is_refused):
            raise TransientError("the broker is unavailable")

    async def _is_refused(self, one: Outgoing) -> bool:
        record = Published(one.topic, one.body, one.key, tuple(sorted(one.headers.items())), one.partition)
        await asyncio.sleep(0)
        refused = self.refuses(record)
        (self.refused if refused else self.published).append(record)
        return refused

    def available(self, *, available: bool = True) -> None:
        """From now on the broker accepts everything, or nothing."""
        self.refuses = lambda _: not available

    def accept(self, at_most: int) -> None:
        """From now on the broker accepts so many more records."""
        limit = len(self.published) + at_most
        self.refuses = lambda _: len(self.published) >= limit

    def of(self, kind: str) -> list[Published]:
        """Records of a topic, or of a type of message."""
        return [record for record in self.published if kind == record.topic or kind == record.headers.get("ce_type")]

    def messages(self, kind: str) -> list[Any]:
        return [record.message for record in self.of(kind)]


@dataclass(frozen=True, slots=True)
class DeadLettered:
    record: ConsumerRecord
    error: MalformedError
    attempts: int
    answered: bool


class RecordingDeadLetters(DeadLetters):
    """Keeps what was dead-lettered; the next `failures` writes fail first."""

    def __init__(self) -> None:
        self.entries: list[DeadLettered] = []
        self.failures = 0

    async def put(
        self, record: Any, _topic: Topic, error: MalformedError, *, attempts: int = 1, answered: bool = False
    ) -> None:
        if self.failures:
            self.failures -= 1
            raise TransientError("the broker is unavailable")
        self.entries.append(DeadLettered(record, error, attempts, answered))

    def reasons(self) -> list[str]:
        return [entry.error.reason for entry in self.entries]


class RecordedPauses(list[float]):
    """Remembers how long it should have paused, and does not pause."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)
        await asyncio.sleep(0)


async def no_pause(_seconds: float) -> None:
    """Let the other tasks run, and go on."""
    await asyncio.sleep(0)


class MonotonicClock:
    """Seconds that only the test moves."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def no_lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """The lifespan of an app that opens nothing."""
    yield
