"""Styles and scripts, under an address that changes with them."""

from fastapi import APIRouter, Request, Response

from console.errors import not_found
from console.parts import Parts
from console.rendering import Renderer


class StaticFiles:
    """`/static/{name}`."""

    def __init__(self, _parts: Parts) -> None:
        """They need none of the parts."""

    def router(self) -> APIRouter:
        router = APIRouter()
        router.get("/static/{name}")(self.file)
        return router

    async def file(self, request: Request, name: str) -> Response:
        renderer: Renderer = request.app.state.renderer
        if (found := renderer.file(name)) is None:
            raise not_found()
        return found
