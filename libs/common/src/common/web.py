"""What every service answers over HTTP: problems, liveness, readiness, metrics; and how it is run."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import Lifespan

from common.failures import TRANSIENT_ERRORS, is_transient
from common.problems import CAUSES, Code, ProblemError
from common.progress import Progress
from common.settings import EXIT_BAD_SETTINGS, StartRefusedError

log = structlog.get_logger()

READY_DEADLINE = 5.0
Check = Callable[[], Awaitable[None]]


def make_app(service: str, progress: Progress, lifespan: Lifespan[FastAPI], ready: Check) -> FastAPI:
    """An app with `/livez` (by progress), `/readyz` (`ready` raises when something is away), `/metrics`, and problems."""
    app = FastAPI(
        title=f"Grafient {service}", version="1", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    for transient in TRANSIENT_ERRORS:
        app.add_exception_handler(transient, _unavailable)
    app.add_exception_handler(Exception, _unknown)

    @app.get("/livez", include_in_schema=False)
    async def livez() -> Response:  # on the loop itself: it looks at what the consumers are doing
        stalled = progress.stalled()
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
    try:
        app = create()
    except StartRefusedError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_BAD_SETTINGS)
    uvicorn.run(app, host=host, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=10)


def problem(code: Code, detail: str | None = None, headers: dict[str, str] | None = None, **extra: object) -> Response:
    """`code` as RFC 9457 `application/problem+json`."""
    cause = CAUSES[code]
    body: dict[str, Any] = {
        "type": f"urn:grafient:problem:{code.value}",
        "title": cause.title,
        "status": cause.status,
        "detail": detail or cause.detail,
        "code": code.value,
    }
    return JSONResponse(body | extra, status_code=cause.status, headers=headers, media_type="application/problem+json")


def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - registered for this class only
    return problem(error.code, error.detail, error.headers, **error.extra)


def _malformed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    told = [
        {"field": ".".join(str(part)[:40] for part in one["loc"]), "problem": one["msg"]} for one in error.errors()[:10]
    ]
    return problem(Code.REQUEST_MALFORMED, errors=told)


def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    if error.status_code == CAUSES[Code.NOT_FOUND].status:
        return problem(Code.NOT_FOUND)
    body = {
        "type": "about:blank",
        "title": str(error.detail),
        "status": error.status_code,
        "code": Code.REQUEST_MALFORMED,
    }
    return JSONResponse(body, error.status_code, dict(error.headers or {}), media_type="application/problem+json")


def _unavailable(request: Request, error: Exception) -> Response:
    if not is_transient(error):
        return _unknown(request, error)
    log.warning("request.unavailable", path=request.url.path, error=type(error).__name__)
    return problem(Code.UNAVAILABLE, headers={"Retry-After": "5"})


def _unknown(request: Request, error: Exception) -> Response:
    log.error("request.failed", path=request.url.path, exc_info=error)
    return problem(Code.INTERNAL)
