"""A customer with a browser, and the services that the console asks."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx
from common.http.app import make_app
from common.watchdog import Watchdog
from common.watched_file import WatchedFile
from console.app import add_pages
from console.links import Link, Right, load_secrets, new_link
from console.live import Relay
from console.parts import Parts
from console.rendering import Renderer
from console.sessions import COOKIE, Sessions
from console.upstream import Upstream
from fastapi import FastAPI, Response

from tests.support.fakes import no_lifespan

SECRET = "obviously-fake-secret-of-a-test-0001"  # noqa: S105 - of a test
HOST = "console.test"
FIELD = re.compile(r'name="(\w+)" value="([^"]*)"')


class FakeService:
    """Answers what a test has put under a path, `METHOD path` or `path?by=`; all else is a problem of a real one."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.etags: dict[str, str] = {}
        self.asked: dict[str, list[httpx.Request]] = defaultdict(list)
        self.unavailable = False

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url="http://service", transport=httpx.MockTransport(self._answer))

    def problem(self, path: str, status: int, **problem: Any) -> None:
        """From now on `path` is refused."""
        self.answers[path] = httpx.Response(status, json=problem)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked[path].append(request)
        if self.unavailable:
            raise httpx.ConnectError("nobody listens")
        by = f"{path}?by={request.url.params.get('by')}"
        answer = next(
            (self.answers[one] for one in (f"{request.method} {path}", by, path) if one in self.answers), None
        )
        if isinstance(answer, httpx.Response):
            return answer
        if answer is None:
            problem = {"code": "not_found", "title": "Not found", "detail": "There is no such thing in this account."}
            return httpx.Response(404, json=problem)
        etag = self.etags.get(path, "")
        if etag and request.headers.get("If-None-Match") == etag:
            return httpx.Response(304, headers={"ETag": etag})
        return httpx.Response(200, json=answer, headers={"ETag": etag} if etag else {})


@dataclass(slots=True)
class RememberedLinks:
    """Used links, in memory."""

    used: set[bytes] = field(default_factory=set)

    async def use(self, sha256: bytes, expires_at: datetime, *, forgotten: datetime) -> bool:
        assert forgotten < expires_at
        first = sha256 not in self.used
        self.used.add(sha256)
        return first


@dataclass(frozen=True, slots=True)
class Customer:
    """Follows no redirect, keeps cookies."""

    browser: httpx.AsyncClient
    sessions: Sessions

    @classmethod
    def of(cls, app: FastAPI, sessions: Sessions) -> Self:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return cls(httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}"), sessions)

    def open_session(self, account_id: str = "acme", right: Right = Right.MANAGE) -> str:
        """As a link does; returns the token that forms need."""
        answer = Response()
        self.sessions.begin(a_link(account_id, right), answer)
        cookie = answer.headers["set-cookie"].split(";")[0].removeprefix(f"{COOKIE}=")
        self.browser.cookies.set(COOKIE, cookie, HOST)
        request = self.browser.build_request("GET", "/")
        session = self.sessions.of_cookie(request.headers["cookie"].partition("=")[2])
        assert session is not None
        return session.form_token

    async def get(self, address: str, **parameters: str) -> httpx.Response:
        return await self.browser.get(address, params=parameters or None)

    async def post(self, address: str, **fields: str) -> httpx.Response:
        return await self.browser.post(address, data=fields)


def open_console(connector: httpx.AsyncClient, ledger: httpx.AsyncClient, folder: Path) -> Customer:
    """The console's app, with its secret in a file of `folder`, and a customer without a session before it."""
    file = folder / "links"
    file.touch(mode=0o600)
    file.write_text(SECRET)
    secrets = WatchedFile(file, load_secrets)
    sessions = Sessions(secrets.content, secure=False)
    parts = Parts(
        Upstream(connector),
        Upstream(ledger),
        Relay(connector, retry=0.01),
        sessions,
        RememberedLinks(),
        secrets,
        lambda: datetime.now(UTC),
    )
    app = make_app("console", Watchdog(), no_lifespan, {"postgres": _ready})
    add_pages(app, parts, Renderer())
    return Customer.of(app, sessions)


async def _ready() -> None:
    """Always."""


def a_link(account_id: str = "acme", right: Right = Right.VIEW, *, valid: timedelta = timedelta(minutes=5)) -> Link:
    return new_link(account_id, right, datetime.now(UTC) + valid)


def parameters_of(link: Link, secret: str = SECRET) -> dict[str, str]:
    return dict(httpx.QueryParams(link.query(secret.encode())))


def hidden_fields(answer: httpx.Response) -> Mapping[str, str]:
    """Of the forms of a page."""
    return dict(FIELD.findall(answer.text))
