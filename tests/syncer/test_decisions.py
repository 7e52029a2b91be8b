"""What is stored of a reading, and later published byte for byte."""

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from syncer.decisions import decide_reading, parse_decision
from syncer.domain import Days

from tests.support.messages import window_read
from tests.syncer.support.provider import reading_of

DAY = date(2026, 11, 20)
DAYS = Days(DAY - timedelta(days=2), DAY)

amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=12).filter(bool)
labels = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
costs_by_label = st.dictionaries(labels, amounts, max_size=8)


WINDOW = window_read(first_day=DAYS.first, last_day=DAYS.last, totals={})


@given(costs_by_label)
def test_a_day_has_one_entry_a_label_sorted_and_adds_up_to_the_last_digit(costs: dict[str, Decimal]) -> None:
    decision = decide_reading(reading_of(DAYS, costs), WINDOW)

    for day in decision.days:
        assert {cost.label: cost.usd for cost in day.costs} == costs
        assert [cost.label for cost in day.costs] == sorted(costs)
        assert day.usd == sum(costs.values(), Decimal(0)) == decision.window.totals[day.day]


@given(costs_by_label)
def test_a_stored_decision_parses_to_the_same_bytes(costs: dict[str, Decimal]) -> None:
    decision = decide_reading(reading_of(DAYS, costs), WINDOW)

    stored = decision.model_dump_json()

    assert parse_decision(stored).model_dump_json() == stored


def test_an_empty_day_is_published_and_a_cut_one_is_not() -> None:
    decision = decide_reading(reading_of(DAYS, {}, cut=[DAYS.first]), WINDOW)

    assert [day.day for day in decision.days] == [DAY - timedelta(days=1), DAY]
    assert decision.window.totals == {DAY - timedelta(days=1): Decimal(0), DAY: Decimal(0)}


def test_a_day_too_large_for_a_record_counts_as_cut() -> None:
    huge = {f"{number:05} {'x' * 200}": Decimal(1) for number in range(4000)}

    decision = decide_reading(reading_of(DAYS, huge), WINDOW)

    assert decision.days == ()
    assert decision.window.totals == {}
