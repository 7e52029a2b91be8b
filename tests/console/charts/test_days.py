"""A day's marks in words."""

from datetime import date
from decimal import Decimal

from console.charts import Day, Part

DAY = date(2026, 11, 3)


def test_a_plain_day_needs_no_words() -> None:
    assert Day(DAY, Decimal(1)).states == []


def test_zero_and_unknown_are_two_things() -> None:
    assert Day(DAY, Decimal(0)).states == ["read, no cost"]
    assert Day(DAY, None, covered=False).states == ["not read"]
    assert Day(DAY, Decimal(1), covered=False).states == ["not read completely"]


def test_a_day_can_have_several_marks() -> None:
    day = Day(DAY, Decimal(1), provisional=True, restated=True, questioned=True)

    assert day.states == ["provisional", "restated", "asked again"]


def test_parts_of_one_name_are_one_amount() -> None:
    assert Day(DAY, Decimal(3), (Part("a", Decimal(1)), Part("a", Decimal(2)))).amounts() == {"a": Decimal(3)}
