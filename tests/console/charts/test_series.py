"""Models beyond the palette are folded into one that names them, and no cent is lost."""

from datetime import date, timedelta
from decimal import Decimal

from console.charts import Day, Part, folded
from console.charts.series import COLOURS, OTHER
from hypothesis import given
from hypothesis import strategies as st

PARTS = st.lists(
    st.builds(Part, st.sampled_from([f"model {number}" for number in range(15)]), st.decimals(-10, 1000, places=10)),
    max_size=20,
)


def days(parts: list[list[Part]]) -> list[Day]:
    first = date(2026, 11, 1)
    return [
        Day(first + timedelta(days=place), sum((part.usd for part in of_day), Decimal(0)), tuple(of_day))
        for place, of_day in enumerate(parts)
    ]


@given(st.lists(PARTS, max_size=8))
def test_series_sum_to_the_ledgers_sum_of_each_day_to_the_last_digit(parts: list[list[Part]]) -> None:
    drawn = days(parts)
    series = folded(drawn)

    assert [sum((one.usd[place] for one in series), Decimal(0)) for place in range(len(drawn))] == [
        day.usd for day in drawn
    ]


@given(st.lists(PARTS, max_size=8))
def test_each_model_is_in_one_series_and_each_series_has_a_colour(parts: list[list[Part]]) -> None:
    series = folded(days(parts))
    names = [name for one in series for name in one.names]

    assert sorted(names) == sorted({part.name for of_day in parts for part in of_day})
    assert [one.colour for one in series] == list(range(len(series)))
    assert len(series) <= OTHER + 1


def test_the_dearest_models_have_a_colour_and_the_others_are_counted() -> None:
    series = folded(days([[Part(f"model {number}", Decimal(number)) for number in range(1, 12)]]))

    assert [one.name for one in series] == [*(f"model {number}" for number in range(11, 4, -1)), "4 others"]
    assert series[COLOURS].names == ("model 4", "model 3", "model 2", "model 1")


def test_a_palette_that_suffices_folds_nothing() -> None:
    series = folded(days([[Part(f"model {number}", Decimal(number)) for number in range(1, COLOURS + 2)]]))

    assert len(series) == COLOURS + 1
    assert {len(one.names) for one in series} == {1}
