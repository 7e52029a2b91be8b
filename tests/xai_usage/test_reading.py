import json
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from xai_usage.answer import Answer, days_between, parse
from xai_usage.reading import read

FIRST = date(2026, 11, 1)


class Team:
    """Answers with the costs of each day, and cuts ranges that hold more amounts than the limit."""

    def __init__(self, amounts: list[str], limit: int, cut_days: frozenset[date] = frozenset()) -> None:
        self.amounts = {FIRST + timedelta(days=n): amount for n, amount in enumerate(amounts)}
        self.limit = limit
        self.cut_days = cut_days
        self.asked: list[tuple[date, date]] = []

    @property
    def last_day(self) -> date:
        return max(self.amounts)

    async def ask(self, first_day: date, last_day: date) -> Answer:
        self.asked.append((first_day, last_day))
        days = list(days_between(first_day, last_day))
        cut = len(days) > self.limit or bool(self.cut_days.intersection(days))
        points = [{"timestamp": f"{day}T00:00:00Z", "values": [self.amounts[day]]} for day in days]
        series = [{"group": ["grok"], "dataPoints": points[:1] if cut else points}]
        return parse(json.dumps({"timeSeries": series, "limitReached": cut}).encode(), first_day, last_day)


async def test_an_answer_that_is_not_cut_takes_one_call() -> None:
    team = Team(["1", "0", "2.5"], limit=3)
    reading = await read(team.ask, FIRST, team.last_day)
    assert team.asked == [(FIRST, team.last_day)]
    assert reading.days == {
        FIRST: {"grok": Decimal(1)},
        date(2026, 11, 2): {},
        date(2026, 11, 3): {"grok": Decimal("2.5")},
    }
    assert [(part.first_day, part.last_day) for part in reading.parts] == [(FIRST, team.last_day)]


async def test_a_day_that_is_still_cut_is_named_and_left_out_and_the_others_are_read() -> None:
    cut = date(2026, 11, 3)
    team = Team(["1", "1", "1", "1"], limit=4, cut_days=frozenset({cut}))
    reading = await read(team.ask, FIRST, team.last_day)
    assert reading.cut_days == {cut}
    assert set(reading.days) == set(team.amounts) - {cut}


@given(st.lists(st.decimals(0, 1000, places=6).map(str), min_size=1, max_size=40), st.integers(1, 40))
async def test_halves_have_the_same_costs_as_one_answer(amounts: list[str], limit: int) -> None:
    halved, whole = Team(amounts, limit), Team(amounts, len(amounts))
    reading = await read(halved.ask, FIRST, halved.last_day)
    assert reading.days == (await read(whole.ask, FIRST, whole.last_day)).days
    assert not reading.cut_days
    spans = [day for part in reading.parts for day in days_between(part.first_day, part.last_day)]
    assert spans == list(days_between(FIRST, halved.last_day))
