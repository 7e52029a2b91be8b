"""From amounts to pixels: nothing is hidden, nothing is drawn higher or lower than it is."""

from decimal import Decimal

import pytest
from console.charts.scale import HEIGHT, LEAST, extremes, scale_of, segments
from hypothesis import given
from hypothesis import strategies as st

AMOUNTS = st.lists(st.decimals(-1000, 100_000, places=10), max_size=12)
COSTS = st.lists(st.decimals(0, 100_000, places=10), max_size=12)


@given(st.lists(AMOUNTS, min_size=1, max_size=10))
def test_an_axis_holds_every_stack_and_has_few_round_steps(days: list[list[Decimal]]) -> None:
    edges = [edge for day in days for edge in extremes(day)]
    scale = scale_of(edges)

    assert all(scale.lowest <= edge <= scale.highest for edge in (*edges, Decimal(0)))
    assert 3 <= len(scale.ticks) <= 7
    assert (scale.ticks[0], scale.ticks[-1]) == (scale.lowest, scale.highest)
    assert Decimal(0) in scale.ticks
    assert scale.step.normalize().as_tuple().digits in {(1,), (2,), (2, 5), (5,)}


@given(COSTS)
def test_the_segments_of_a_stack_sum_to_the_column(amounts: list[Decimal]) -> None:
    scale = scale_of([sum(amounts, Decimal(0))])
    height = sum(segment.height for segment in segments(amounts, scale))

    assert height == pytest.approx(max(scale.y(Decimal(0)) - scale.y(sum(amounts, Decimal(0))), LEAST * any(amounts)))


@given(COSTS.filter(any), st.decimals(1, 10**9))
def test_a_cost_is_never_drawn_as_nothing(amounts: list[Decimal], dearest: Decimal) -> None:
    stack = segments(amounts, scale_of([sum(amounts, Decimal(0)), dearest]))

    assert sum(segment.height for segment in stack) >= LEAST - 1e-6


@given(AMOUNTS)
def test_costs_are_above_zero_and_credits_below_it_and_all_is_inside(amounts: list[Decimal]) -> None:
    scale = scale_of(extremes(amounts))
    zero = scale.y(Decimal(0))

    for segment in segments(amounts, scale):
        edge = segment.y + segment.height if amounts[segment.series] > 0 else segment.y
        assert edge <= zero + 1e-6 if amounts[segment.series] > 0 else edge >= zero - 1e-6
        assert segment.y >= -LEAST
        assert segment.y + segment.height <= HEIGHT + LEAST


def test_without_an_amount_there_is_an_axis_all_the_same() -> None:
    assert [str(tick) for tick in scale_of([]).ticks] == ["0.00", "0.25", "0.50", "0.75", "1.00"]
    assert segments([], scale_of([])) == []
