"""One reading of a range, made of as many answers as it takes until none of them is cut."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from xai_usage.answer import Answer

Ask = Callable[[date, date], Awaitable[Answer]]
"""One call for a range of days, both included."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer as received, decompressed, and the days of its question, both included."""

    first_day: date
    last_day: date
    body: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """The costs of `first_day` to `last_day`, both included."""

    first_day: date
    last_day: date
    days: Mapping[date, Mapping[str, Decimal]]
    """US dollars per label, exact, never zero; every day of the range but `cut_days`, also the empty ones."""
    cut_days: frozenset[date]
    """Days that xAI cuts even when they are the whole question: not read."""
    parts: tuple[RawAnswer, ...]
    """The answers behind it, oldest first: together they span the range, each day once."""


async def read(ask: Ask, first_day: date, last_day: date) -> Reading:
    """Read `first_day` to `last_day`, and halves of what xAI cuts, down to a day; raises what `ask` raises."""
    answers = await _answers(ask, first_day, last_day)
    return Reading(
        first_day,
        last_day,
        {day: costs for answer in answers if not answer.limit_reached for day, costs in answer.days.items()},
        frozenset(answer.first_day for answer in answers if answer.limit_reached),
        tuple(RawAnswer(answer.first_day, answer.last_day, answer.body) for answer in answers),
    )


async def _answers(ask: Ask, first_day: date, last_day: date) -> list[Answer]:
    answer = await ask(first_day, last_day)
    if not answer.limit_reached or first_day == last_day:
        return [answer]
    return [part for first, last in _halves(first_day, last_day) for part in await _answers(ask, first, last)]


def _halves(first_day: date, last_day: date) -> Iterator[tuple[date, date]]:
    middle = first_day + (last_day - first_day) // 2
    yield first_day, middle
    yield middle + timedelta(days=1), last_day
