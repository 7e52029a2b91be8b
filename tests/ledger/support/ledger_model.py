"""The ledger in plain Python: what stands, what stood before, what was said of windows, who was erased."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from contract.messages import Cost, CostRecorded, WindowRead
from contract.money import total

Key = tuple[UUID, date, str]
Told = CostRecorded | WindowRead


@dataclass(frozen=True, slots=True)
class Day:
    """What stands of a day."""

    costs: tuple[Cost, ...]
    usd: Decimal
    reading_id: UUID
    observed_at: datetime
    said_since: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was said of a window."""

    event_id: str
    judgements: int
    unreconciled: tuple[date, ...]
    changed: int
    usd: Decimal
    window: WindowRead

    def same_as(self, other: "Outcome") -> bool:
        mine, theirs = (
            (one.unreconciled, one.changed, one.usd, one.window.model_copy(update={"totals": {}}))
            for one in (self, other)
        )
        return mine == theirs


@dataclass
class Model:
    """The ledger in plain Python."""

    days: dict[Key, Day] = field(default_factory=dict)
    revisions: list[tuple[Key, Day, datetime, UUID]] = field(default_factory=list)
    """What a day said, until when, and the reading that said something else."""
    outcomes: dict[tuple[UUID, UUID, str], Outcome] = field(default_factory=dict)
    erased: set[UUID] = field(default_factory=set)
    versions: dict[UUID, tuple[int, str]] = field(default_factory=dict)

    def take(self, batch: Sequence[Told]) -> list[Outcome]:
        """What is told of a batch."""
        kept = [one for one in batch if one.integration_id not in self.erased]
        for day in sorted((one for one in kept if isinstance(one, CostRecorded)), key=lambda one: one.observed_at):
            self._record(day)
        return [self._judge(one) for one in kept if isinstance(one, WindowRead)]

    def _record(self, said: CostRecorded) -> None:
        key = said.integration_id, said.day, said.account_id
        before = self.days.get(key)
        if before is not None and before.observed_at >= said.observed_at:
            return
        since = said.observed_at
        if before is not None and before.costs == said.costs:
            since = before.said_since
        elif before is not None:
            self.revisions.append((key, before, said.observed_at, said.reading_id))
        self.days[key] = Day(said.costs, said.usd, said.reading_id, said.observed_at, since)

    def _judge(self, window: WindowRead) -> Outcome:
        key = window.integration_id, window.reading_id, window.account_id
        before = self.outcomes.get(key)
        if before is not None and not before.unreconciled:
            return before
        number = before.judgements + 1 if before else 1
        event_id = f"{window.reading_id}:completed" + (f":{number}" if number > 1 else "")
        days = [window.first_day + timedelta(days=one) for one in range((window.last_day - window.first_day).days + 1)]
        missing = tuple(day for day in days if not self._holds(window, day))
        changed = sum(self._changed(window, day) for day in days)
        judged = Outcome(event_id, number, missing, changed, total(window.totals.values()), window)
        if before is None or not before.same_as(judged):
            self.outcomes[key] = judged
        return self.outcomes[key]

    def _holds(self, window: WindowRead, day: date) -> bool:
        stands = self.days.get((window.integration_id, day, window.account_id))
        if stands is None or day not in window.totals:
            return False
        if stands.reading_id == window.reading_id:
            return stands.usd == window.totals[day]
        return stands.observed_at > window.observed_at

    def _changed(self, window: WindowRead, day: date) -> int:
        key = window.integration_id, day, window.account_id
        return sum(one == key and by == window.reading_id for one, _, _, by in self.revisions)

    def state(self, team: UUID, version: int, status: str, *, erase: bool) -> None:
        if version > self.versions.get(team, (0, ""))[0]:
            self.versions[team] = version, status
        if erase:
            self.erased.add(team)
            self.days = {key: one for key, one in self.days.items() if key[0] != team}
            self.revisions = [one for one in self.revisions if one[0][0] != team]
            self.outcomes = {key: one for key, one in self.outcomes.items() if key[0] != team}

    def believed(self, key: Key, at: datetime) -> Decimal | None:
        """The sum that stood at `at`."""
        stands = self.days.get(key)
        if stands is not None and stands.said_since <= at:
            return stands.usd
        spans = (day.usd for one, day, until, _ in self.revisions if one == key and day.said_since <= at < until)
        return next(spans, None)
