"""What every service answers over HTTP: problems, liveness, readiness, metrics; and how it is run."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import structlog
import uvicorn
from contract.problems import CAUSES, Code, ProblemError, members
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Lifespan
from uvicorn.config import STARTUP_FAILURE

from common.errors import TRANSIENT_ERRORS, is_transient
from common.hardening import disable_core_dumps
from common.http.timeouts import RequestTimeoutProtocol
from common.settings import EXIT_BAD_SETTINGS, StartRefusedError
from common.watchdog import Watchdog

log = structlog.get_logger()

READY_DEADLINE = 5.0
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
Check = Callable[[], Awaitable[None]]


def make_app(service: str, watchdog: Watchdog, lifespan: Lifespan[FastAPI], ready: Check) -> FastAPI:
    """An app with `/livez` (by progress), `/readyz` (`ready` raises when something is away), `/metrics`, and problems.

    Its `state.leave` is called when the process is about to end: whoever keeps a connection open puts itself there.
    """
    app = FastAPI(
        title=f"Grafient {service}",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.leave = lambda: None
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    for transient in TRANSIENT_ERRORS:
        app.add_exception_handler(transient, _unavailable)
    app.add_exception_handler(Exception, _unknown)

    @app.get("/livez", include_in_schema=False)
    async def livez() -> Response:  # on the loop itself: it looks at what the consumers are doing
        stalled = watchdog.stalled()
        return JSONResponse({"ok": not stalled, "stalled": stalled}, status_code=503 if stalled else 200)

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        try:
            async with asyncio.timeout(READY_DEADLINE):
                await ready()
        except Exception as error:  # noqa: BLE001 - whatever it is, this process is not ready
            return JSONResponse({"ok": False, "away": type(error).__name__}, status_code=503)
        return JSONResponse({"ok": True})

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


def serve(create: Callable[[], FastAPI], *, host: str, port: int) -> None:
    """Run what `create` makes until SIGTERM; requests in flight get 10 s.

    Ends with status 78 and a sentence where `create` raises StartRefusedError, with another one where the start failed.
    """
    disable_core_dumps()
    try:
        app = create()
    except StartRefusedError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_BAD_SETTINGS)
    server = server_of(app, host=host, port=port)
    with suppress(KeyboardInterrupt):  # what uvicorn makes of Ctrl-C after its end
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def server_of(app: FastAPI, *, host: str, port: int) -> uvicorn.Server:
    """What `serve` runs."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=RequestTimeoutProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=10,
    )
    return _Server(config, app.state.leave)


class _Server(uvicorn.Server):
    """`leave` is called before open connections are waited for: the lifespan ends only when all of them are closed."""

    def __init__(self, config: uvicorn.Config, leave: Callable[[], None]) -> None:
        super().__init__(config)
        self._leave = leave

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._leave()
        await super().shutdown(sockets)


def problem(code: Code, detail: str | None = None, headers: dict[str, str] | None = None, **extra: object) -> Response:
    """`code` as RFC 9457 `application/problem+json`."""
    body = members(code, detail) | extra
    return JSONResponse(body, CAUSES[code].status, headers, media_type="application/problem+json")


def problem_of(error: ProblemError) -> Response:
    return problem(error.code, error.detail, error.headers, **error.extra)


def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - registered for this class only
    return problem_of(error)


def _malformed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    return problem(Code.REQUEST_MALFORMED, errors=[_wrong(one) for one in error.errors()[:10]])


def _wrong(one: dict[str, Any]) -> dict[str, str]:
    """The field and its rule; nothing that the client wrote, which may be a key in the wrong place."""
    where, told = one["loc"], one["msg"]
    if one["type"] == "extra_forbidden":
        where = where[:-1]
    if one["type"].endswith("_parsing"):  # behind the comma stands what was found instead
        told = told.partition(", ")[0]
    if one["type"] == "union_tag_invalid":
        told = "Input has an unknown tag"
    return {"field": ".".join(str(part)[:40] for part in where), "problem": told}


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return problem(Code.NOT_FOUND)
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return problem(Code.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(_allowed(request))})
        case HTTPStatus.BAD_REQUEST:  # what FastAPI makes of a body that breaks its JSON parser
            return problem(Code.REQUEST_MALFORMED, "The body is not JSON in UTF-8.")
        case _:
            return problem(Code.REQUEST_MALFORMED)


def _allowed(request: Request) -> list[str]:
    """Every method of the address: the framework names only those of the first route that has it."""
    asked = [(method, dict(request.scope) | {"method": method}) for method in METHODS]
    return [
        method for method, scope in asked if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
    ]


def _unavailable(request: Request, error: Exception) -> Response:
    if not is_transient(error):
        return _unknown(request, error)
    log.warning("request.unavailable", route=_route(request), error=type(error).__name__)
    return problem(Code.UNAVAILABLE, headers={"Retry-After": "5"})


def _unknown(request: Request, error: Exception) -> Response:
    log.error("request.failed", route=_route(request), exc_info=error)
    return problem(Code.INTERNAL)


def _route(request: Request) -> str:
    """The route as it is declared: the address itself may hold a key that somebody put into the wrong place."""
    return str(getattr(request.scope.get("route"), "path", "none"))
