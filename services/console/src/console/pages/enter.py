"""The way in and out: a signed link becomes a session, by a button, so that nothing that follows links uses it up."""

from collections.abc import Mapping
from http import HTTPStatus

from common.metrics import LINKS, declare
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from console.errors import PageError
from console.links import LONGEST, SKEW, Link, LinkRefusedError, Refusal, check
from console.parts import Parts
from console.rendering import page

_AGAIN = "Go back to your product and open your costs again: that makes a new link."
_SENTENCES = {
    Refusal.FORGED: (
        "This link is not valid",
        f"It is incomplete, or was not made by your product. {_AGAIN}",
    ),
    Refusal.EXPIRED: ("This link has expired", f"A link is valid for 15 minutes at most. {_AGAIN}"),
    Refusal.TOO_LONG: (
        "This link is not valid",
        "It is valid for more than 15 minutes, or the clock of your product is ahead. Ask whoever runs it.",
    ),
    Refusal.USED: ("This link was used", f"A link opens your costs once. {_AGAIN}"),
}


class EnterPages:
    """`/enter` and `/leave`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        declare(LINKS, ["opened", *Refusal])

    def router(self) -> APIRouter:
        router = APIRouter()
        router.get("/enter")(self.show)
        router.post("/enter")(self.enter)
        router.post("/leave")(self.leave)
        return router

    async def show(self, request: Request) -> Response:
        """One button; the link is not used by looking at it."""
        link = self._link(request.query_params)
        return page(request, "enter.html", link=link, parameters=dict(request.query_params))

    async def enter(self, request: Request) -> Response:
        """Use the link."""
        form = await request.form()
        link = self._link({name: value for name, value in form.items() if isinstance(value, str)})
        forgotten = self._parts.clock() - LONGEST - SKEW
        if not await self._parts.used_links.use(link.digest, link.expires_at, forgotten=forgotten):
            raise _refused(Refusal.USED)
        LINKS.labels("opened").inc()
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        self._parts.sessions.begin(link, answer)
        return answer

    async def leave(self) -> Response:
        """End the session; harmless where another site asks for it."""
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        self._parts.sessions.end(answer)
        return answer

    def _link(self, parameters: Mapping[str, str]) -> Link:
        try:
            return check(parameters, self._parts.link_secrets.content(), self._parts.clock())
        except LinkRefusedError as error:
            raise _refused(error.reason) from None


def _refused(reason: Refusal) -> PageError:
    LINKS.labels(reason.value).inc()
    return PageError(HTTPStatus.FORBIDDEN, *_SENTENCES[reason])
