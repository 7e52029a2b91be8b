"""The life of a figure: what a day cost, and where each amount of it comes from."""

import asyncio
from datetime import date, timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from console.errors import PageError
from console.integrations import why_read
from console.pages.views import Shown
from console.parts import Parts
from console.rendering import page
from console.schemas import Cards, LifeOfADay
from console.sessions import Viewer


class DayPage:
    """`/days/{day}`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def router(self) -> APIRouter:
        router = APIRouter()
        router.get("/days/{text}")(self.show)
        return router

    async def show(
        self, request: Request, session: Viewer, view: Shown, text: str, cursor: Annotated[UUID | None, Query()] = None
    ) -> Response:
        day = _day(text)
        account = session.routes
        asked = {"integration_id": view.days["integration_id"], "cursor": str(cursor) if cursor else None}
        life, cards = await asyncio.gather(
            self._parts.ledger.get(f"{account}/days/{day}", LifeOfADay, asked),
            self._parts.connector.get(f"{account}/integrations", Cards, {"removed": "true"}),
        )
        labels = {card.integration_id: card.label for card in cards.integrations}
        around = (day - timedelta(days=1), day + timedelta(days=1))
        today = self._parts.clock().date()
        return page(
            request, "day.html", view=view, life=life, labels=labels, around=around, today=today, why_read=why_read
        )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise PageError(HTTPStatus.NOT_FOUND, "There is no such day", "A day is written as in 2026-11-28.") from None
