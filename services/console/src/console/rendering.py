"""Pages: templates with what all of them need."""

from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Self

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from console.formats import Formats, negotiated

STATIC = Path(__file__).parent / "static"
THEME = "theme.css"
THEME_COOKIE = "theme"
THEMES = frozenset({"light", "dark"})
"""What a reader may choose instead of what the browser asks for."""
_KEPT_FOR_EVER = "public, max-age=31536000, immutable"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class File:
    """A file that pages refer to."""

    content: bytes
    media_type: str
    version: str
    """Changes with the content."""

    @classmethod
    def of(cls, path: Path, media_type: str) -> Self:
        content = path.read_bytes()
        return cls(content, media_type, sha256(content).hexdigest()[:16])


class Renderer:
    """Renders pages; `theme` replaces the file of custom properties."""

    def __init__(self, theme: Path | None = None) -> None:
        self._files = {one.name: File.of(one, _TYPES[one.suffix]) for one in STATIC.iterdir() if one.suffix in _TYPES}
        if theme is not None:
            self._files[THEME] = File.of(theme, _TYPES[".css"])
        self._environment = Environment(
            loader=PackageLoader("console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["static"] = self.address_of

    def address_of(self, name: str) -> str:
        """Of a file; another one when its content changes, so that browsers need not ask again."""
        return f"/static/{name}?v={self._files[name].version}"

    def file(self, name: str) -> Response | None:
        """A file, to be kept by the browser; None where there is none."""
        found = self._files.get(name)
        headers = {"Cache-Control": _KEPT_FOR_EVER}
        return Response(found.content, media_type=found.media_type, headers=headers) if found else None

    def page(
        self, request: Request, template: str, status: HTTPStatus = HTTPStatus.OK, **context: object
    ) -> HTMLResponse:
        """The page `template`, with `context` and what all pages need."""
        everywhere = {
            "nonce": request.state.nonce,
            "session": request.app.state.sessions.of(request),
            "path": request.url.path,
            "f": formats_of(request),
            "theme": request.cookies.get(THEME_COOKIE) if request.cookies.get(THEME_COOKIE) in THEMES else None,
        }
        return HTMLResponse(self._environment.get_template(template).render(everywhere | context), status)


def formats_of(request: Request) -> Formats:
    """How the reader sees figures."""
    return negotiated(request.headers.get("accept-language"))


def page(request: Request, template: str, status: HTTPStatus = HTTPStatus.OK, **context: object) -> HTMLResponse:
    """The page `template`; see `Renderer.page`."""
    renderer: Renderer = request.app.state.renderer
    return renderer.page(request, template, status, **context)
