"""Areas: what is stacked on what."""

import re
from decimal import Decimal

from console.charts import Day, Part, folded
from console.charts.areas import areas
from console.charts.scale import scale_of

from tests.console.charts.pictures import FIRST, by_class, tree


def test_credits_are_stacked_below_zero_and_costs_above() -> None:
    days = [Day(FIRST, Decimal(2), (Part("a", Decimal(3)), Part("b", Decimal(1)), Part("c", Decimal(-2))))]
    scale = scale_of([Decimal(4), Decimal(-2)])
    bands = by_class(tree(areas(days, folded(days), scale, unbroken=False)), "c0")
    bands += [
        one for name in ("c1", "c2") for one in by_class(tree(areas(days, folded(days), scale, unbroken=False)), name)
    ]
    heights = [{float(y) for y in re.findall(r",([\d.]+)", band.get("d", ""))} for band in bands]

    assert heights == [
        {scale.y(Decimal(3)), scale.y(Decimal(0))},
        {scale.y(Decimal(0)), scale.y(Decimal(-2))},
        {scale.y(Decimal(4)), scale.y(Decimal(3))},
    ]
