"""A row's costs as small as a word."""

from decimal import Decimal

from console.charts import sparkline

from tests.console.charts.pictures import tree


def test_a_day_with_a_cost_is_a_bar_and_any_other_is_a_gap() -> None:
    bars = tree(sparkline([Decimal(4), None, Decimal(0), Decimal("0.001"), Decimal(-1)], "of grok <4>")).findall("rect")

    assert [bar.get("x") for bar in bars] == ["0.1", "3.1", "4.1"]
    assert min(float(bar.get("height", "0")) for bar in bars) >= 2


def test_it_has_a_description_and_is_there_without_days() -> None:
    assert tree(sparkline([], "of grok <4>")).get("aria-label") == "of grok <4>"
