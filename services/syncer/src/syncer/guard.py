"""Which days of a reading are questioned, for they take money away, and when a question is answered. Pure: no I/O, no clock.

A questioned day is not published: what was known of it remains until the provider has answered the same for a while.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from contract.messages import Cost
from contract.money import EXACT, same_costs
from contract.rules import ends_at

TICK_DIGITS = 10
TICKS_PER_USD = 10**TICK_DIGITS
COUNTS_FROM = TICKS_PER_USD // 100
"""What cost no more is not missed."""
ABSURD_FROM = 100 * TICKS_PER_USD
ABSURD_TIMES = 100
DAYS_TO_COMPARE = 7
"""Other days with cost, without which no amount is absurd."""

FIRST_PAUSES = (timedelta(minutes=15), timedelta(hours=1))
LATER_PAUSE = timedelta(hours=6)
"""Between two times that a question is asked again, from its beginning; the first ones are FIRST_PAUSES after it."""
BELIEVED_AFTER = timedelta(minutes=15)
MOST_BELIEVED_AFTER = timedelta(hours=6)
"""Where most of a reading is missing: data that has not landed yet looks the same."""
LONGEST = timedelta(hours=24)
"""Then the newest answer is published, whether or not it was given twice."""
FORGOTTEN_AFTER = timedelta(days=35)
"""After its end the provider may have forgotten a day: it then falls only if an operator accepts it."""

Amounts = Mapping[str, int]
"""Ticks by model, never zero."""


class Kind(StrEnum):
    """Why a day is questioned."""

    LESS = "less"
    """It cost over 0.01 USD, and now costs nothing or less than half."""
    MODEL_GONE = "model_gone"
    """A model that cost over 0.01 USD is missing."""
    ABSURD = "absurd"
    """It costs far more than any other day, or is negative by more than half of the dearest."""


@dataclass(frozen=True, slots=True)
class Question:
    """An answer of the provider that is not believed yet, about one day."""

    asked_at: datetime
    """`observed_at` of the first reading that was questioned."""
    kind: Kind
    answer: Amounts
    answered_at: datetime
    """`observed_at` of the newest reading that gave `answer`."""
    believed_from: datetime
    """A reading from then on that gives `answer` again answers the question."""
    accepted: bool = False
    """An operator accepted `answer`: the next reading that gives it answers the question."""


def amounts_of(costs: Iterable[Cost]) -> Amounts:
    """Ticks by model, rounded to the tick: a label that is renamed stays the same model."""
    amounts: dict[str, int] = {}
    for cost in costs:
        ticks = int(cost.usd.scaleb(TICK_DIGITS, context=EXACT).to_integral_value())
        amounts[cost.model] = amounts.get(cost.model, 0) + ticks
    return {model: ticks for model, ticks in amounts.items() if ticks}


def usd_of(amounts: Amounts) -> Decimal:
    """The sum in US dollars."""
    return Decimal(_total(amounts)).scaleb(-TICK_DIGITS, context=EXACT)


def judge(
    reading: Mapping[date, Amounts], known: Mapping[date, Amounts], questions: Mapping[date, Question], at: datetime
) -> dict[date, Question]:
    """The days of a reading observed at `at` that are not to be published, each with its question.

    `known`: what was published last, of any days; a day that is not in it is never questioned, nor is today.
    `questions`: those that are open.
    """
    finished = {day: answer for day, answer in reading.items() if day < at.date() and day in known}
    wait = MOST_BELIEVED_AFTER if _most_is_missing(finished, known) else BELIEVED_AFTER
    totals = {day: _total(amounts) for day, amounts in {**reading, **known}.items()}
    open_: dict[date, Question] = {}
    for day, answer in finished.items():
        others = [ticks for other, ticks in totals.items() if other != day and ticks > 0]
        kind = doubt(answer, known[day], others)
        if kind is not None:
            question = _asked_again(questions.get(day), kind, answer, at, wait)
            if not _is_answered(question, day, at):
                open_[day] = question
    return open_


def doubt(answer: Amounts, known: Amounts, others: Collection[int]) -> Kind | None:
    """Why `answer` of a day is not believed at once; `others`: ticks of the other days with cost."""
    now, before = _total(answer), _total(known)
    if before > COUNTS_FROM and 2 * now < before:
        return Kind.LESS
    if any(ticks > COUNTS_FROM and model not in answer for model, ticks in known.items()):
        return Kind.MODEL_GONE
    return Kind.ABSURD if len(others) >= DAYS_TO_COMPARE and _is_absurd(now, before, max(others)) else None


def is_same(one: Amounts, other: Amounts) -> bool:
    """Whether two readings say the same, but for the noise of long sums."""
    return same_costs(_decimals(one), _decimals(other))


def ask_again_at(asked_at: datetime, at: datetime) -> datetime:
    """When a question that was first asked at `asked_at` is asked after `at`."""
    for pause in FIRST_PAUSES:
        if asked_at + pause > at:
            return asked_at + pause
    return asked_at + ((at - asked_at) // LATER_PAUSE + 1) * LATER_PAUSE


def waits_for_operator(kind: Kind, day: date, at: datetime) -> bool:
    """Whether no answer of the provider alone replaces the day."""
    return kind is not Kind.ABSURD and at - ends_at(day) > FORGOTTEN_AFTER


def _most_is_missing(finished: Mapping[date, Amounts], known: Mapping[date, Amounts]) -> bool:
    before = {day: _total(known[day]) for day in finished}
    missing = sum(max(before[day] - _total(answer), 0) for day, answer in finished.items())
    return 2 * missing > sum(max(ticks, 0) for ticks in before.values())


def _is_absurd(now: int, before: int, dearest: int) -> bool:
    """An amount is measured by what is known of its own day, too: one that was accepted is not questioned again."""
    is_credit = 2 * now < -dearest <= 2 * before
    return is_credit or (now > ABSURD_FROM and now > ABSURD_TIMES * max(dearest, before))


def _asked_again(before: Question | None, kind: Kind, answer: Amounts, at: datetime, wait: timedelta) -> Question:
    if before is None:
        return Question(at, kind, answer, at, at + wait)
    if is_same(answer, before.answer):
        return replace(before, kind=kind, answered_at=at)
    return Question(before.asked_at, kind, answer, at, at + wait)


def _is_answered(question: Question, day: date, at: datetime) -> bool:
    if question.accepted:
        return True
    if waits_for_operator(question.kind, day, at):
        return False
    return at >= question.believed_from or at - question.asked_at >= LONGEST


def _decimals(amounts: Amounts) -> dict[str, Decimal]:
    return {model: Decimal(ticks) for model, ticks in amounts.items()}


def _total(amounts: Amounts) -> int:
    return sum(amounts.values())
