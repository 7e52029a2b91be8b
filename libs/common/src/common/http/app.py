"""What every service serves over HTTP: problems, liveness, readiness, metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import structlog
from contract.problems import Code, ProblemError, cause_of, members
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Lifespan

from common.errors import RETRY_AFTER, TransientError, is_transient, transient_errors
from common.http.strict import refuse_unknown, shown
from common.metrics import BUILD, REFUSALS, Exported, declare
from common.tracing import telemetry
from common.watchdog import Watchdog

log = structlog.get_logger()

READY_DEADLINE = 4.0
"""Of each part: whoever asks `/readyz` waits 5 s."""
UNTRACED = ("/livez", "/readyz", "/metrics", "/events", "/live")
"""Ends of paths: probes come every few seconds, streams stay open for hours."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
Check = Callable[[], Awaitable[None]]


def make_app(
    service: str,
    watchdog: Watchdog,
    lifespan: Lifespan[FastAPI],
    needs: Mapping[str, Check],
    uses: Mapping[str, Check] | None = None,
) -> FastAPI:
    """An app with `/livez` (by progress), `/readyz`, `/metrics`, and problems.

    It is ready while all that its routes need works: a check, by the name of the part, raises where it does not.
    `/readyz` names those of `uses` too, without which its routes work. While its `state.stopping` is true it is not
    ready. Its `state.on_shutdown` is called before open connections are awaited: a route that keeps them open replaces
    it.
    """
    app = FastAPI(
        title=f"Grafient {service}",
        version="1",
        lifespan=lifespan,
        dependencies=[Depends(refuse_unknown)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=telemetry(exclude=lambda path: path.endswith(UNTRACED)),
    )
    app.state.stopping = False
    app.state.on_shutdown = lambda: None
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    for transient in transient_errors():
        app.add_exception_handler(transient, _unavailable)
    app.add_exception_handler(Exception, _unknown)

    @app.get("/livez", include_in_schema=False)
    async def livez() -> Response:  # on the event loop itself: it inspects the consumers
        stalled = watchdog.stalled()
        return JSONResponse({"ok": not stalled, "stalled": stalled}, status_code=503 if stalled else 200)

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        if app.state.stopping:
            return JSONResponse({"ok": False, "stopping": True}, status_code=503)
        checks = {**(uses or {}), **needs}
        problems = zip(checks, await asyncio.gather(*map(_problem_of_part, checks.values())), strict=True)
        failing = {name: text for name, text in problems if text}
        ok = failing.keys().isdisjoint(needs)
        return JSONResponse({"ok": ok, "failing": failing}, status_code=200 if ok else 503)

    declare(REFUSALS, ["request"], [Code.UNAVAILABLE, Code.INTERNAL])
    BUILD.info({"service": service, "version": version("grafient-common")})
    exported = Exported(service)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:  # on the event loop, as above
        return Response(generate_latest(exported), media_type=CONTENT_TYPE_LATEST)

    return app


async def _problem_of_part(check: Check) -> str | None:
    try:
        async with asyncio.timeout(READY_DEADLINE):
            await check()
    except TransientError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever failed, this part does not work
        return type(error).__name__
    return None


def problem(code: Code, detail: str | None = None, headers: dict[str, str] | None = None, **extra: object) -> Response:
    """`code` as RFC 9457 `application/problem+json`; it is counted as refused."""
    REFUSALS.labels("request", code.value).inc()
    body = members(code, detail) | extra
    return JSONResponse(body, cause_of(code).status, headers, media_type="application/problem+json")


def problem_of(error: ProblemError) -> Response:
    return problem(error.code, error.detail, error.headers, **error.extra)


def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - registered for this class only
    return problem_of(error)


def _malformed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    return problem(Code.REQUEST_MALFORMED, errors=[_field_error(one) for one in error.errors()[:10]])


def _field_error(error: dict[str, Any]) -> dict[str, str]:
    """The field and its rule; nothing that the client sent, which may be a key in the wrong place."""
    path, message = error["loc"], error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        path, message = (*path[:-1], shown(path[-1])), "Unknown member"
    if error["type"].endswith("_parsing"):  # the value that was found follows the comma
        message = message.partition(", ")[0]
    if error["type"] == "union_tag_invalid":
        message = "Input has an unknown tag"
    return {"field": ".".join(str(part)[:40] for part in path), "problem": message}


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return problem(Code.NOT_FOUND)
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return problem(Code.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(_allowed(request))})
        case HTTPStatus.BAD_REQUEST:  # FastAPI's answer to a body that breaks its JSON parser
            return problem(Code.REQUEST_MALFORMED, "The body is not JSON in UTF-8.")
        case _:
            return problem(Code.REQUEST_MALFORMED)


def _allowed(request: Request) -> list[str]:
    """Every method of the path: the framework names only those of the first route that matches."""
    scopes = [(method, dict(request.scope) | {"method": method}) for method in METHODS]
    return [
        method for method, scope in scopes if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
    ]


def _unavailable(request: Request, error: Exception) -> Response:
    if not is_transient(error):
        return _unknown(request, error)
    log.warning("request.unavailable", route=_route(request), error=type(error).__name__)
    retry_after = error.retry_after if isinstance(error, TransientError) else RETRY_AFTER
    return problem(Code.UNAVAILABLE, headers={"Retry-After": str(retry_after)})


def _unknown(request: Request, error: Exception) -> Response:
    log.error("request.failed", route=_route(request), exc_info=error)
    return problem(Code.INTERNAL)


def _route(request: Request) -> str:
    """The route as it is declared: the path itself may hold a key in the wrong place."""
    return str(getattr(request.scope.get("route"), "path", "none"))
