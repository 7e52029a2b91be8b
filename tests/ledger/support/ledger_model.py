"""The ledger in plain Python: days and their revisions, outcomes of windows, erased integrations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from contract.messages import Cost, CostRecorded, WindowRead
from contract.money import same_costs, total

Key = tuple[UUID, date, str]
CostMessage = CostRecorded | WindowRead


@dataclass(frozen=True, slots=True)
class Day:
    """A stored day."""

    costs: tuple[Cost, ...]
    usd: Decimal
    reading_id: UUID
    observed_at: datetime
    valid_from: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """A published outcome of a window."""

    event_id: str
    number: int
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
    """A former day, its end (`valid_to`), and the reading that replaced it."""
    outcomes: dict[tuple[UUID, UUID, str], Outcome] = field(default_factory=dict)
    erased: set[UUID] = field(default_factory=set)
    versions: dict[UUID, tuple[int, str]] = field(default_factory=dict)

    def receive(self, batch: Sequence[CostMessage]) -> list[Outcome]:
        """Handle a batch; returns the outcomes that it publishes."""
        kept = [one for one in batch if one.integration_id not in self.erased]
        for day in sorted((one for one in kept if isinstance(one, CostRecorded)), key=lambda one: one.observed_at):
            self._record(day)
        return [self._reconcile(one) for one in kept if isinstance(one, WindowRead)]

    def _record(self, message: CostRecorded) -> None:
        key = message.integration_id, message.day, message.account_id
        before = self.days.get(key)
        if before is not None and before.observed_at >= message.observed_at:
            return
        valid_from = message.observed_at
        if before is not None and _same(before.costs, tuple(message.costs)):
            valid_from = before.valid_from
        elif before is not None:
            self.revisions.append((key, before, message.observed_at, message.reading_id))
        self.days[key] = Day(tuple(message.costs), message.usd, message.reading_id, message.observed_at, valid_from)

    def _reconcile(self, window: WindowRead) -> Outcome:
        key = window.integration_id, window.reading_id, window.account_id
        before = self.outcomes.get(key)
        if before is not None and not before.unreconciled:
            return before
        number = before.number + 1 if before else 1
        event_id = f"{window.reading_id}:completed" + (f":{number}" if number > 1 else "")
        days = [window.first_day + timedelta(days=one) for one in range((window.last_day - window.first_day).days + 1)]
        missing = tuple(day for day in days if not self._holds(window, day))
        changed = sum(self._changed(window, day) for day in days)
        outcome = Outcome(event_id, number, missing, changed, total(window.totals.values()), window)
        if before is None or not before.same_as(outcome):
            self.outcomes[key] = outcome
        return self.outcomes[key]

    def _holds(self, window: WindowRead, day: date) -> bool:
        stored = self.days.get((window.integration_id, day, window.account_id))
        if stored is None or day not in window.totals:
            return False
        if stored.reading_id == window.reading_id:
            return stored.usd == window.totals[day]
        return stored.observed_at > window.observed_at

    def _changed(self, window: WindowRead, day: date) -> int:
        key = window.integration_id, day, window.account_id
        return sum(one == key and by == window.reading_id for one, _, _, by in self.revisions)

    def change(self, team: UUID, version: int, status: str, *, erase: bool) -> None:
        if version > self.versions.get(team, (0, ""))[0]:
            self.versions[team] = version, status
        if erase:
            self.erased.add(team)
            self.days = {key: one for key, one in self.days.items() if key[0] != team}
            self.revisions = [one for one in self.revisions if one[0][0] != team]
            self.outcomes = {key: one for key, one in self.outcomes.items() if key[0] != team}

    def known(self, key: Key, at: datetime) -> Decimal | None:
        """The sum as known at `at`."""
        stored = self.days.get(key)
        if stored is not None and stored.valid_from <= at:
            return stored.usd
        spans = (day.usd for one, day, until, _ in self.revisions if one == key and day.valid_from <= at < until)
        return next(spans, None)


def _same(one: tuple[Cost, ...], other: tuple[Cost, ...]) -> bool:
    return same_costs(*({cost.label: cost.usd for cost in costs} for costs in (one, other)))
