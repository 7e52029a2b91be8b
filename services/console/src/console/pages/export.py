"""The figures that are on screen, as a file: the ledger's own, passed on as it comes."""

from collections.abc import AsyncIterator
from typing import Final

import httpx
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from console.errors import not_found
from console.pages.views import Shown
from console.parts import Parts
from console.rendering import page
from console.schemas import Summary
from console.sessions import Viewer

FORMATS: Final = {
    "csv": {"format": "csv"},
    "json": {"format": "json"},
    "ndjson": {"format": "ndjson"},
    "focus": {"format": "focus"},
    "focus-1.2": {"format": "focus", "profile": "1.2"},
    "coverage": {"format": "csv", "file": "coverage"},
    "focus-coverage": {"format": "focus", "file": "coverage"},
}
"""Parameters of the ledger, by the last part of the address."""
PASSED_ON: Final = ("content-type", "content-disposition", "grafient-missing-days")


class ExportPage:
    """`/export` and `/export/{format}`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def router(self) -> APIRouter:
        router = APIRouter()
        router.get("/export")(self.show)
        router.get("/export/{name}")(self.file)
        return router

    async def show(self, request: Request, session: Viewer, view: Shown) -> Response:
        """The choice of a format, with the sum that each file has."""
        summary = await self._parts.ledger.get(f"{session.routes}/summary", Summary, view.days)
        return page(request, "export.html", view=view, summary=summary)

    async def file(self, session: Viewer, view: Shown, name: str) -> Response:
        """A file, in as much memory as a piece of it."""
        if name not in FORMATS:
            raise not_found()
        path = f"{session.routes}/export"
        answer = await self._parts.ledger.stream(path, view.days | FORMATS[name])
        headers = {header: answer.headers[header] for header in PASSED_ON if header in answer.headers}
        return StreamingResponse(_pieces(answer), headers=headers)


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_bytes():
            yield piece
    finally:
        await answer.aclose()
