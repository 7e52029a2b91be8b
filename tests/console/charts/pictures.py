"""Days to draw, and a picture as a tree to look into."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import Element, fromstring

from console.charts import Day, Kind, Part, folded, stacked
from console.formats import Formats
from markupsafe import Markup

ENGLISH = Formats("en_US")
FIRST = date(2026, 11, 1)


def a_day(place: int = 0, usd: str | None = "1", **marks: Any) -> Day:
    parts = (Part("grok-4", Decimal(usd)),) if usd else ()
    return Day(FIRST + timedelta(days=place), None if usd is None else Decimal(usd), parts, **marks)


def drawn(days: list[Day], kind: Kind = "bar") -> Element:
    return tree(
        stacked(days, folded(days), kind, ENGLISH, title="Costs", description="By day", link=lambda day: f"/days/{day}")
    )


def tree(picture: Markup) -> Element:
    return fromstring(str(picture))  # noqa: S314 - it is ours


def by_class(element: Element, name: str) -> list[Element]:
    return [one for one in element.iter() if name in one.get("class", "").split()]
