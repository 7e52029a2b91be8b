"""`/integrations/{id}`: which days were read, when and why, what changed, and what can be done about it."""

import asyncio
from datetime import date, timedelta
from functools import partial
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from console.charts import calendar
from console.errors import PageError, UpstreamError
from console.integrations import Coverage, FullCard, Revisions, Syncs, days_of, outcome_of
from console.parts import Parts
from console.rendering import formats_of, page
from console.sessions import Manager, Session, Viewer

DAYS = 90
"""Of the calendar: as many as xAI answers for."""
LINES = 50
"""Of the history of syncs."""
CALENDAR = "Days that were read"
EXPLAINED = "A square a day; the darker, the more it cost. A hatched day was not read, a dashed one may still change."
DONE = {
    "renamed": "The integration has its new label.",
    "replaced": "The new key works. Days that were missed are being read now.",
}
CHANGES = {"label": ("PATCH", "", "renamed"), "credential": ("PUT", "/credential", "replaced")}
"""By form: method and route of the connector, and what it has done."""
Text = Annotated[str, Form()]


class IntegrationPage:
    """One integration, and every change of it."""

    def __init__(self, parts: Parts) -> None:
        self._connector, self._ledger = parts.connector, parts.ledger
        self._clock = parts.clock

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/integrations/{integration_id:uuid}")
        router.get("")(self.show)
        router.post("/sync")(self.sync)
        router.post("/label")(self.rename)
        router.post("/credential")(self.replace_key)
        router.post("/remove")(self.remove)
        return router

    async def show(
        self, request: Request, session: Viewer, integration_id: UUID, done: str = "", sync: str = ""
    ) -> Response:
        """`sync`: the ID of a sync that was requested."""
        return await self._page(request, session, integration_id, request_id=sync, done=DONE.get(done))

    async def sync(
        self,
        session: Manager,
        integration_id: UUID,
        first_day: Text = "",
        last_day: Text = "",
        back: Text = "",
    ) -> Response:
        """Force Sync, of some days where both are given; shows its outcome on the page that requested it."""
        days = {"first_day": first_day, "last_day": last_day} if first_day and last_day else {}
        accepted = await self._connector.send("POST", f"{_path(session, integration_id)}/sync", days)
        sync = accepted["request_id"]
        if back == "integrations":
            return _to(f"/integrations?synced={integration_id}&sync={sync}#card-{integration_id}")
        return _to(f"/integrations/{integration_id}?sync={sync}")

    async def rename(self, request: Request, session: Manager, integration_id: UUID, label: Text = "") -> Response:
        return await self._change(request, session, integration_id, "label", {"label": label.strip()})

    async def replace_key(
        self, request: Request, session: Manager, integration_id: UUID, management_key: Text = ""
    ) -> Response:
        """Tested first; the history stays. The key is passed on, and nowhere else."""
        return await self._change(request, session, integration_id, "credential", {"management_key": management_key})

    async def remove(
        self,
        request: Request,
        session: Manager,
        integration_id: UUID,
        history: Text = "keep",
        confirmation: Text = "",
    ) -> Response:
        """Remove it once its label was typed; costs are kept, or erased."""
        path = _path(session, integration_id)
        card = await self._connector.get(path, FullCard)
        if confirmation.strip() != card.label.strip():
            title, detail = "Nothing was removed", f"To confirm, type the label of this integration: {card.label}"
            problem = PageError(HTTPStatus.UNPROCESSABLE_ENTITY, title, detail)
            return await self._page(request, session, integration_id, problem=("remove", problem))
        erase = history == "erase"
        await self._connector.send("DELETE", path, history="erase" if erase else "keep")
        return _to(f"/integrations?done={'erased' if erase else 'removed'}")

    async def _change(
        self, request: Request, session: Session, integration_id: UUID, form: str, body: dict[str, object]
    ) -> Response:
        """Send one of CHANGES; a refusal is shown in the form."""
        method, route, done = CHANGES[form]
        try:
            await self._connector.send(method, f"{_path(session, integration_id)}{route}", body)
        except UpstreamError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise
            return await self._page(request, session, integration_id, problem=(form, error))
        return _to(f"/integrations/{integration_id}?done={done}")

    async def _page(
        self,
        request: Request,
        session: Session,
        integration_id: UUID,
        request_id: str = "",
        done: str | None = None,
        problem: tuple[str, PageError] | None = None,
    ) -> Response:
        """`problem`: the form that was refused, and why."""
        path = _path(session, integration_id)
        account = session.routes
        today = self._clock().date()
        span = {"from": str(today - timedelta(days=DAYS - 1)), "to": str(today), "integration_id": str(integration_id)}
        card, syncs, coverage, revisions = await asyncio.gather(
            self._connector.get(path, FullCard),
            self._connector.get(f"{path}/syncs", Syncs, {"limit": str(LINES)}),
            self._ledger.get(f"{account}/coverage", Coverage, span),
            self._ledger.get(f"{account}/revisions", Revisions, span),
        )
        days = days_of(coverage, card)
        formats = formats_of(request)
        return page(
            request,
            "integration.html",
            problem[1].status if problem else HTTPStatus.OK,
            card=card,
            syncs=syncs.syncs,
            calendar=calendar(days, formats, title=CALENDAR, description=EXPLAINED, link=partial(_day, integration_id)),
            missing=[one for one in days if not one.covered],
            revisions=revisions.revisions,
            outcome=outcome_of(request_id, syncs.syncs) if request_id else None,
            done=done,
            problem=problem,
        )


def _path(session: Session, integration_id: UUID) -> str:
    return f"{session.routes}/integrations/{integration_id}"


def _day(integration_id: UUID, day: date) -> str:
    """The page of a day's figure."""
    return f"/days/{day}?integration={integration_id}"


def _to(address: str) -> Response:
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)
