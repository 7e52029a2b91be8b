"""`/live`: notifies a tab that something of its account has changed."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from console.live import tab_events
from console.parts import Parts
from console.sessions import Viewer


class LivePage:
    """The stream of one tab."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def router(self) -> APIRouter:
        router = APIRouter()
        router.get("/live")(self.follow)
        return router

    async def follow(self, request: Request, session: Viewer) -> Response:
        """Server-sent events until the session is over; 503 while the connector is unavailable: the tab polls."""
        stream = self._parts.relay.stream(session.account_id)
        await stream.connected.wait()
        if stream.lost:
            return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)

        def is_open() -> bool:
            return self._parts.sessions.of(request) is not None

        return StreamingResponse(
            tab_events(stream, is_open), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )
