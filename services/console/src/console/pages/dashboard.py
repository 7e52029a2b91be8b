"""The first page: what the period cost, day by day."""

import asyncio

from fastapi import APIRouter, Request, Response

from console.pages.views import Shown
from console.parts import Parts
from console.rendering import page
from console.schemas import Cards, Costs, Summary
from console.sessions import Viewer


class DashboardPage:
    """`/`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def router(self) -> APIRouter:
        router = APIRouter()
        router.get("/")(self.show)
        return router

    async def show(self, request: Request, session: Viewer, view: Shown) -> Response:
        account = f"/v1/accounts/{session.account_id}"
        summary, cards = await asyncio.gather(
            self._parts.ledger.get(f"{account}/summary", Summary, view.days | {"compare": view.compare.value}),
            self._parts.connector.get(f"{account}/integrations", Cards),
        )
        days = {"from": str(summary.first), "to": str(summary.last), "by": "model"}
        days |= {"integration_id": str(view.integration)} if view.integration else {}
        costs = await self._parts.ledger.get(f"{account}/costs", Costs, days)
        return page(request, "dashboard.html", view=view, summary=summary, costs=costs, cards=cards.integrations)
