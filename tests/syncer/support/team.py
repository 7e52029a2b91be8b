"""A team at a provider that has hiccups, and a syncer that guards its days: as rules only, in a time of its own."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from contract.messages import Cost
from syncer.guard import (
    BELIEVED_AFTER,
    LONGEST,
    Amounts,
    Question,
    amounts_of,
    ask_again_at,
    doubt,
    is_same,
    judge,
    waits_for_operator,
)

START = datetime(2026, 11, 28, 9, tzinfo=UTC)
DAYS = tuple(START.date() - timedelta(days=ago) for ago in (1, 2, 3, 4, 5, 6, 7, 8, 20, 33, 34, 36, 50))
"""Finished days; the last two ended over 35 days ago."""
Costs = Mapping[str, Decimal]
"""US dollars by model."""
Lie = Callable[[date, Costs], Costs]
HEAL_EVERY = timedelta(minutes=1)


def gap(_day: date, _costs: Costs) -> Costs:
    """Data that has not landed."""
    return {}


def one_series(_day: date, costs: Costs) -> Costs:
    return dict(sorted(costs.items())[:1])


def less_than_half(_day: date, costs: Costs) -> Costs:
    return {model: usd * Decimal("0.4") for model, usd in costs.items()}


def another_unit(_day: date, costs: Costs) -> Costs:
    return {model: usd * 1_000_000 for model, usd in costs.items()}


LIES: tuple[Lie, ...] = (gap, one_series, less_than_half, another_unit)


@dataclass
class GuardedTeam:
    """What the provider has, what it answers, and what is shown."""

    costs: dict[date, Costs]
    """For good."""
    at: datetime = START
    lie: Lie | None = None
    lies_about: Collection[date] = DAYS
    renamed: bool = False
    noise: int = 0
    """In 1e-10 USD, of amounts above 100 USD."""
    shown: dict[date, Amounts] = field(default_factory=dict)
    questions: dict[date, Question] = field(default_factory=dict)
    due: dict[date, datetime] = field(default_factory=dict)
    """When the healer asks again."""
    restatements: dict[date, int] = field(default_factory=dict)
    revisions: dict[date, int] = field(default_factory=dict)
    answers: dict[date, list[tuple[datetime, Amounts]]] = field(default_factory=dict)
    """All that was answered of each day."""

    def restate(self, day: date, costs: Costs) -> None:
        if costs != self.costs[day]:
            self.costs[day] = costs
            self.restatements[day] = self.restatements.get(day, 0) + 1

    def wait(self, pause: timedelta) -> None:
        """Time passes, and the healer asks what is due."""
        end = self.at + pause
        while due := [at for at in self.due.values() if at <= end]:
            self.at = max(self.at, min(due) + HEAL_EVERY)
            asked = [day for day, at in self.due.items() if at <= self.at]
            self.due |= {day: ask_again_at(self.questions[day].asked_at, self.at) for day in asked}
            self.read(asked)
        self.at = max(self.at, end)

    def read(self, days: Iterable[date] = DAYS) -> None:
        """One reading, and what is published of it."""
        self.at += timedelta(microseconds=1)
        reading = {day: self._answer(day) for day in days}
        for day, answer in reading.items():
            self.answers.setdefault(day, []).append((self.at, answer))
        open_ = judge(reading, self.shown, self.questions, self.at)
        for day, answer in reading.items():
            if day in open_:
                self._question(day, open_[day])
            else:
                self._publish(day, answer)

    def _answer(self, day: date) -> Amounts:
        lies = self.lie is not None and day in self.lies_about
        costs = self.lie(day, self.costs[day]) if self.lie and lies else self.costs[day]
        return amounts_of(self._cost(model, usd) for model, usd in costs.items())

    def _cost(self, model: str, usd: Decimal) -> Cost:
        noise = Decimal(self.noise).scaleb(-10) if usd > 1000 else Decimal(0)
        product = "API" if self.renamed else "Chat"
        return Cost(label=f"{product} {model}", product=product, model=model, usd=usd + noise)

    def _question(self, day: date, question: Question) -> None:
        self.due.setdefault(day, ask_again_at(self.at, self.at))
        self.questions[day] = question
        assert waits_for_operator(question.kind, day, self.at) or self.at - question.asked_at < LONGEST

    def _publish(self, day: date, answer: Amounts) -> None:
        before = self.shown.get(day)
        if before is not None and not is_same(before, answer):
            self.revisions[day] = self.revisions.get(day, 0) + 1
            if doubt(answer, before, ()) is not None:
                self._assert_repeated(day, answer)
        self.shown[day] = answer
        self.questions.pop(day, None)
        self.due.pop(day, None)

    def _assert_repeated(self, day: date, answer: Amounts) -> None:
        """A day shows less only after the provider repeated it for the guard's time, or when its question was a day old."""
        since = self.at
        for at, earlier in reversed(self.answers[day]):
            if not is_same(earlier, answer):
                break
            since = at
        assert self.at - since >= BELIEVED_AFTER or self.at - self.questions[day].asked_at >= LONGEST
        assert not waits_for_operator(self.questions[day].kind, day, self.at)
