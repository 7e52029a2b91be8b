"""What stands beside the syncer in its tests: a broker that remembers, and xAI by script."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from common.errors import TransientError
from common.kafka.publisher import Publisher, check_size
from contract.messages import SyncFailed, WindowRead
from contract.topics import Topic
from syncer.domain import Days
from syncer.store import Credential
from syncer.xai.calls import Xai
from xai_usage import RawAnswer, Reading

RAW = b'{"timeSeries": []}'


@dataclass(frozen=True, slots=True)
class Published:
    """One record, as the broker would have got it."""

    topic: str
    body: bytes
    key: bytes
    headers: tuple[tuple[str, str], ...]

    @property
    def event_id(self) -> str:
        return dict(self.headers)["ce_id"]

    @property
    def type(self) -> str:
        return dict(self.headers)["ce_type"]


class RecordingPublisher(Publisher):
    """Remembers instead of sending; `refuses` tells which records the broker does not take now."""

    def __init__(self) -> None:
        self._source = "/grafient/syncer"
        self.records: list[Published] = []
        self.refused: list[Published] = []
        self.refuses: Callable[[Published], bool] = lambda _: False

    async def send(
        self, topic: Topic, body: bytes | None, *, key: bytes, headers: dict[str, str], partition: int | None = None
    ) -> None:
        assert partition is None
        check_size(topic, body, key=key, headers=headers)
        record = Published(topic.name, body or b"", key, tuple(sorted(headers.items())))
        await asyncio.sleep(0)
        if self.refuses(record):
            self.refused.append(record)
            raise TransientError("the broker is away")
        self.records.append(record)

    def takes(self, at_most: int | None = None) -> None:
        """From now on the broker takes so many records more, and refuses the others; None: it takes all."""
        limit = None if at_most is None else len(self.records) + at_most
        self.refuses = lambda _: limit is not None and len(self.records) >= limit

    def failures(self) -> list[SyncFailed]:
        return [SyncFailed.model_validate_json(one.body) for one in self.records if one.type == "SyncFailed"]

    def windows(self) -> list[WindowRead]:
        return [WindowRead.model_validate_json(one.body) for one in self.records if one.type == "WindowRead"]


Says = Exception | Callable[[Days], Reading]


def says(days: Days, costs: dict[str, Decimal] | None = None, cut: Iterable[date] = ()) -> Reading:
    """The same costs for every day but those that are cut."""
    cut_days = frozenset(cut)
    all_days = [days.first + timedelta(days=number) for number in range((days.last - days.first).days + 1)]
    amounts = {"Chat grok-4-0709": Decimal("1.25")} if costs is None else costs
    return Reading(
        days.first,
        days.last,
        {day: amounts for day in all_days if day not in cut_days},
        cut_days,
        (RawAnswer(days.first, days.last, RAW),),
    )


@dataclass
class FakeXai(Xai):
    """Answers what is scripted, and then costs for every day."""

    answers: deque[Says] = field(default_factory=deque)
    asked: list[tuple[UUID, int, Days]] = field(default_factory=list)
    """Integration, credential version, days."""
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """Happens while xAI is being asked."""
    in_hand: list[UUID] = field(default_factory=list)
    overlaps: int = 0
    most_at_once: int = 0

    async def read(self, team_id: str, credential: Credential, days: Days, *, grouped: bool = True) -> Reading:  # noqa: ARG002 - its real part
        assert team_id
        self.asked.append((credential.integration_id, credential.credential_version, days))
        self.overlaps += credential.integration_id in self.in_hand
        self.in_hand.append(credential.integration_id)
        self.most_at_once = max(self.most_at_once, len(self.in_hand))
        try:
            return await self._answer(days)
        finally:
            self.in_hand.remove(credential.integration_id)

    async def _answer(self, days: Days) -> Reading:
        await asyncio.sleep(0.002)
        if self.meanwhile is not None:
            await self.meanwhile()
        answer = self.answers.popleft() if self.answers else says
        if isinstance(answer, Exception):
            raise answer
        return answer(days)
