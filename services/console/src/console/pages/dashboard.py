"""The first page: what the period cost, day by day."""

import asyncio
from collections.abc import Mapping
from datetime import date
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from console.charts import KINDS, folded, stacked
from console.days import drawn, gaps
from console.domain import Compare, View
from console.pages.views import Shown, view_of
from console.parts import Parts
from console.rendering import formats_of, page
from console.schemas import Cards, Costs, DailyBreakdown, Summary
from console.sessions import Manager, Session, Viewer

MOST_READ = 20
"""Integrations that are read again by one press of a button."""
KIND_NAMES = {"bar": "Bars", "area": "Area", "cumulative": "Summed up"}
COMPARED = {
    Compare.PREVIOUS: "the days before",
    Compare.WEEK: "the same weekdays before",
    Compare.YEAR: "a year before",
}


class DashboardPage:
    """`/`, and its button that has days read."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def router(self) -> APIRouter:
        router = APIRouter()
        router.get("/")(self.show)
        router.post("/read")(self.read)
        return router

    async def show(self, request: Request, session: Viewer, view: Shown, requested: str = "") -> Response:
        """`requested` is set where the button was pressed."""
        ledger, connector = self._parts.ledger, self._parts.connector
        summary, breakdown, cards = await asyncio.gather(
            ledger.get(_path(session, "summary"), Summary, view.days | {"compare": view.compare.value}),
            ledger.get(_path(session, "breakdown"), DailyBreakdown, view.days | {"by": "model", "daily": "true"}),
            connector.get(_path(session, "integrations"), Cards),
        )
        costs = await self._costs(session, view, summary.first, summary.last)
        shown = [card for card in cards.integrations if view.integration in {None, card.integration_id}]
        days, formats = drawn(costs, breakdown, shown), formats_of(request)
        series = folded(days)

        def link(day: date) -> str:
            return f"/days/{day}{view.to(period='30d').query}"

        chart = stacked(
            days,
            series,
            view.chart.value,
            formats,
            title=f"Costs by day, {formats.day(summary.first)} to {formats.day(summary.last)}",
            description=f"A stack of models for each UTC day, {formats.money(summary.usd)} in all. A table follows.",
            link=link,
        )
        return page(
            request,
            "dashboard.html",
            view=view,
            summary=summary,
            connected=costs.integrations,
            cards=cards.integrations,
            next_sync=min((card.next_sync for card in shown if card.next_sync), default=None),
            days=days,
            series=series,
            chart=chart,
            link=link,
            kinds=[(kind, KIND_NAMES[kind]) for kind in KINDS],
            compared=COMPARED,
            gaps=gaps(costs, cards.integrations, self._parts.clock().date()),
            requested=bool(requested),
        )

    async def read(
        self,
        session: Manager,
        first: Annotated[date, Form()],
        last: Annotated[date, Form()],
        query: Annotated[str, Form()] = "",
    ) -> Response:
        """Have these days read where they are missing."""
        view = view_of(dict(parse_qsl(query.removeprefix("?"))))
        costs, cards = await asyncio.gather(
            self._costs(session, view, first, last),
            self._parts.connector.get(_path(session, "integrations"), Cards),
        )
        lacking = {one for day in costs.days for one in day.missing}
        missing = [card.integration_id for card in cards.integrations if card.integration_id in lacking][:MOST_READ]
        body = {"first_day": str(first), "last_day": str(last)}
        paths = [_path(session, f"integrations/{one}/sync") for one in missing]
        await asyncio.gather(*(self._parts.connector.send("POST", path, body) for path in paths))
        return RedirectResponse(f"/{view.query}{'&' if view.query else '?'}requested=1", HTTPStatus.SEE_OTHER)

    async def _costs(self, session: Session, view: View, first: date, last: date) -> Costs:
        days: Mapping[str, str | None] = {"from": str(first), "to": str(last), "by": "day"}
        chosen = {"integration_id": view.days["integration_id"]}
        return await self._parts.ledger.get(_path(session, "costs"), Costs, {**days, **chosen})


def _path(session: Session, route: str) -> str:
    return f"{session.routes}/{route}"
