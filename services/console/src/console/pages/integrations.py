"""`/integrations`: the teams that are connected, and the form that connects another one."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from contract.fields import canonical_team_id
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from console.errors import UpstreamError
from console.integrations import ConnectionResult, FullCards, Outcome, Syncs, outcome_of
from console.parts import Parts
from console.rendering import page
from console.sessions import Manager, Session, Viewer

DONE = {
    "added": "The team is connected. Its history is being read now.",
    "removed": "The integration was removed, and its key deleted. Its costs were kept.",
    "erased": "The integration was removed, its key deleted, and its costs erased.",
}
"""What a change that ended on this page has done."""
Text = Annotated[str, Form()]


class IntegrationsPage:
    """`/integrations`, and what its form sends. A key is passed on to the connector, and nowhere else."""

    def __init__(self, parts: Parts) -> None:
        self._connector = parts.connector

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/integrations")
        router.get("")(self.show)
        router.post("")(self.add)
        router.post("/test")(self.test)
        return router

    async def show(
        self, request: Request, session: Viewer, done: str = "", synced: UUID | None = None, sync: str = ""
    ) -> Response:
        """`synced` is the integration of which a sync was requested, `sync` the request's ID."""
        outcome = await self._outcome(session, synced, sync) if synced and sync else None
        return await self._page(request, session, done=DONE.get(done), synced=synced, outcome=outcome)

    async def test(
        self, request: Request, session: Manager, team_id: Text = "", management_key: Text = "", label: Text = ""
    ) -> Response:
        """Test Connection; the page has all that was entered but the key."""
        sent = {"team_id": team_id, "management_key": management_key}
        try:
            answer = await self._connector.send("POST", f"{_path(session)}/test", sent)
            result = ConnectionResult.model_validate(answer)
        except UpstreamError as error:
            result = _failed(error)
        return await self._page(request, session, result=result, entered=_entered(team_id, label))

    async def add(
        self, request: Request, session: Manager, team_id: Text = "", management_key: Text = "", label: Text = ""
    ) -> Response:
        """Connect a team, which is tested first; the account's plan stays."""
        sent = {"team_id": team_id, "management_key": management_key, "label": label.strip() or None}
        try:
            card = await self._connector.send("POST", _path(session), sent)
        except UpstreamError as error:
            entered = _entered(team_id, label)
            return await self._page(request, session, error.status, result=_failed(error), entered=entered)
        return RedirectResponse(f"/integrations?done=added#card-{card['integration_id']}", HTTPStatus.SEE_OTHER)

    async def _outcome(self, session: Session, integration_id: UUID, request_id: str) -> Outcome:
        path = f"{_path(session)}/{integration_id}/syncs"
        return outcome_of(request_id, (await self._connector.get(path, Syncs, {"limit": "20"})).syncs)

    async def _page(
        self, request: Request, session: Session, status: HTTPStatus = HTTPStatus.OK, **context: object
    ) -> Response:
        cards = (await self._connector.get(_path(session), FullCards)).integrations
        empty: dict[str, object] = {
            "done": None,
            "synced": None,
            "outcome": None,
            "result": None,
            "entered": {},
        }
        return page(request, "integrations.html", status, **(empty | {"cards": cards} | context))


def _path(session: Session) -> str:
    return f"{session.routes}/integrations"


def _entered(team_id: str, label: str) -> dict[str, str]:
    """What a page repeats: of a field for the Team ID nothing else, for a key may have been pasted into it."""
    return {"team_id": canonical_team_id(team_id) or "", "label": label}


def _failed(error: UpstreamError) -> ConnectionResult:
    return ConnectionResult(ok=False, title=error.title, detail=error.detail, hints=error.hints)
