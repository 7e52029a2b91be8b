"""What the period's costs are made of, a row a model."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from console.charts import sparkline
from console.pages.views import Shown
from console.parts import Parts
from console.rendering import page
from console.schemas import Breakdown, Cards, Row
from console.sessions import Viewer

COLUMNS: Final[Mapping[str, Callable[[Row], Any]]] = {
    "model": lambda row: (row.model or "").lower(),
    "usd": lambda row: row.usd,
    "share": lambda row: row.usd,
    "days": lambda row: row.days,
    "change": lambda row: (row.change is not None, row.change or Decimal(0)),
}
"""By what each column is sorted; what is not known is below everything that is."""


@dataclass(frozen=True, slots=True)
class Order:
    """Of the rows, by a column of COLUMNS."""

    column: str
    descending: bool

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Order":
        """`sort=usd` or `sort=-usd`, which is the first where nothing is named that there is."""
        text = query.get("sort", "-usd")
        column = text.removeprefix("-")
        return cls(column, text[:1] == "-") if column in COLUMNS else cls("usd", descending=True)

    def rows(self, rows: list[Row]) -> list[Row]:
        """Sorted; equal ones stay in the ledger's order, dearest first."""
        return sorted(rows, key=COLUMNS[self.column], reverse=self.descending)

    def next_for(self, column: str) -> str:
        """What the head of a column leads to: the other direction, figures with the largest first."""
        if column == self.column:
            return column if self.descending else f"-{column}"
        return column if column == "model" else f"-{column}"

    def aria(self, column: str) -> str | None:
        """Only the sorted column has a direction."""
        if column != self.column:
            return None
        return "descending" if self.descending else "ascending"


class ModelsPage:
    """`/models`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def router(self) -> APIRouter:
        router = APIRouter()
        router.get("/models")(self.show)
        return router

    async def show(self, request: Request, session: Viewer, view: Shown) -> Response:
        account = session.routes
        asked = view.days | {"compare": view.compare.value}
        models, labels, cards = await asyncio.gather(
            self._parts.ledger.get(f"{account}/breakdown", Breakdown, asked | {"by": "model", "daily": "true"}),
            self._parts.ledger.get(f"{account}/breakdown", Breakdown, asked | {"by": "label"}),
            self._parts.connector.get(f"{account}/integrations", Cards),
        )
        order = Order.of(request.query_params)
        return page(
            request,
            "models.html",
            view=view,
            models=models,
            order=order,
            rows=order.rows(models.rows),
            details=details_of(labels.rows),
            lines={row.model: line_of(row, models) for row in models.rows},
            cards=cards.integrations,
        )


def details_of(labels: list[Row]) -> dict[str | None, list[Row]]:
    """The labels of each model, as xAI wrote them, dearest first."""
    details: defaultdict[str | None, list[Row]] = defaultdict(list)
    for row in labels:
        details[row.model].append(row)
    return details


def line_of(row: Row, models: Breakdown) -> Markup:
    """A gap where nothing is known of a day."""
    unknown = {(day - models.first).days for day in models.missing_days}
    amounts = [None if place in unknown and not usd else usd for place, usd in enumerate(row.daily or ())]
    return sparkline(amounts, f"{row.model} by day")
