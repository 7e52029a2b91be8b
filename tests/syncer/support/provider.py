"""A provider by script."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from contract.messages import Cost
from contract.problems import Code
from syncer.domain import Days
from syncer.provider import RawAnswer, ReadError, Reading
from syncer.store import Credential
from xai_usage import model_of

RAW = b'{"timeSeries": []}'
Answer = Exception | Callable[[Days], Reading]


def dates_of(days: Days) -> list[date]:
    return [days.first + timedelta(days=number) for number in range((days.last - days.first).days + 1)]


def reading_of(days: Days, costs: dict[str, Decimal] | None = None, cut: Iterable[date] = ()) -> Reading:
    """The same costs for every day but those that are cut."""
    cut_days = frozenset(cut)
    amounts = {"Chat grok-4-0709": Decimal("1.25")} if costs is None else costs
    day_costs = tuple(Cost(label=label, model=model_of(label), usd=usd) for label, usd in sorted(amounts.items()))
    read = {day: day_costs for day in dates_of(days) if day not in cut_days}
    return Reading(days.first, days.last, read, cut_days, (RawAnswer(days.first, days.last, RAW),))


def empty(days: Days) -> Reading:
    """Nothing on any day."""
    return reading_of(days, {})


@dataclass
class FakeProvider:
    """Answers what is scripted, and then costs for every day."""

    answers: deque[Answer] = field(default_factory=deque)
    calls: list[tuple[UUID, int, Days]] = field(default_factory=list)
    """Integration, credential version, days."""
    refuses: Callable[[Days], bool] = lambda _: False
    """Whether a range is refused (HTTP 400)."""
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """Happens during a call."""
    in_flight: list[UUID] = field(default_factory=list)
    overlaps: int = 0
    most_at_once: int = 0

    async def read(self, team_id: str, credential: Credential, days: Days, *, grouped: bool = True) -> Reading:  # noqa: ARG002 - as `Provider.read`
        assert team_id
        self.calls.append((credential.integration_id, credential.credential_version, days))
        self.overlaps += credential.integration_id in self.in_flight
        self.in_flight.append(credential.integration_id)
        self.most_at_once = max(self.most_at_once, len(self.in_flight))
        try:
            return await self._answer(days)
        finally:
            self.in_flight.remove(credential.integration_id)

    async def _answer(self, days: Days) -> Reading:
        await asyncio.sleep(0.002)
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.refuses(days):
            raise ReadError(Code.REQUEST_REFUSED)
        answer = self.answers.popleft() if self.answers else reading_of
        if isinstance(answer, Exception):
            raise answer
        return answer(days)
