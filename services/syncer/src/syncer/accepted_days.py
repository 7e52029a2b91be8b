"""Of a range that the provider refuses, what it accepts: the newest day first, then halves, down to a day."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import date, timedelta

from contract.problems import Code

from syncer.domain import Days
from syncer.provider import ReadError, Reading, ReadTransientError

Ask = Callable[[Days], Awaitable[Reading]]
"""One reading, which counts towards the team's limit; raises ReadError."""
ONE_DAY = timedelta(days=1)


async def read_accepted(ask: Ask, refused: Days, today: date) -> Reading:
    """The part of `refused` that is accepted; `beyond_until` where the provider refuses all that is older.

    Raises ReadTransientError (`request_refused`) where not even the newest days are accepted, and ReadError
    (`out_of_range`) where only newer ones are.
    """
    search = _Search(ask)
    newest = Days(refused.last, refused.last)
    parts = [] if newest == refused else await search.parts(newest)
    if parts:
        return _joined(refused, parts + await search.older(refused))
    if refused.last < today and await search.parts(Days(today, today)):
        raise ReadError(Code.OUT_OF_RANGE)
    raise ReadTransientError(Code.REQUEST_REFUSED)


class _Search:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._ends = False
        """The oldest day is refused: what is older than a refused day is not read."""

    async def older(self, refused: Days) -> list[Reading]:
        """Of the days before the newest one."""
        oldest, rest = Days(refused.first, refused.first), Days(refused.first, refused.last - ONE_DAY)
        found = await self.parts(oldest)
        self._ends = not found
        return found if oldest == rest else await self.parts(rest)

    async def parts(self, days: Days) -> list[Reading]:
        """The readings of what is accepted, newest first."""
        try:
            return [await self._ask(days)]
        except ReadError as error:
            if error.code is not Code.REQUEST_REFUSED:
                raise
        found: list[Reading] = []
        for half in _halves(days):
            found += await self.parts(half)
            if self._ends and (not found or found[-1].first_day > half.first):
                break
        return found


def _halves(days: Days) -> Iterator[Days]:
    """The newer one first; none of a single day."""
    if days.first < days.last:
        middle = days.first + (days.last - days.first) // 2
        yield Days(middle + ONE_DAY, days.last)
        yield Days(days.first, middle)


def _joined(refused: Days, parts: list[Reading]) -> Reading:
    """Days that are refused between accepted ones were not read."""
    first = min(part.first_day for part in parts)
    days = {day: costs for part in parts for day, costs in part.days.items()}
    wanted = {first + timedelta(days=number) for number in range((refused.last - first).days + 1)}
    answers = tuple(answer for part in reversed(parts) for answer in part.parts)
    beyond = first - ONE_DAY if first > refused.first else None
    return Reading(first, refused.last, days, frozenset(wanted - days.keys()), answers, beyond)
