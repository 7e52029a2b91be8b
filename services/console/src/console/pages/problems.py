"""Every failure is a page in plain sentences."""

from http import HTTPStatus

import structlog
from common.errors import is_transient, transient_errors
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from console.errors import PageError, not_found
from console.rendering import page
from console.security import BodyTooLargeError
from console.upstream import unavailable

log = structlog.get_logger()

_INTERNAL = PageError(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Something went wrong here",
    "It was logged. Try again; if it persists, ask your product.",
)
_TOO_LARGE = PageError(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The form was too large", "Nothing was changed. Send at most 64 KiB."
)
_REFUSED = PageError(
    HTTPStatus.BAD_REQUEST, "The request was not understood", "Go back, load the page again, and retry."
)


def show_problems(app: FastAPI) -> None:
    """Replace the answers for programs, which services share, by pages."""
    app.add_exception_handler(PageError, _page_error)
    app.add_exception_handler(BodyTooLargeError, _too_large)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _http)
    for transient in transient_errors():
        app.add_exception_handler(transient, _unavailable)


def _shown(request: Request, error: PageError) -> Response:
    return page(request, "error.html", error.status, error=error)


def _page_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PageError)  # noqa: S101 - registered for this class only
    return _shown(request, error)


def _too_large(request: Request, _error: Exception) -> Response:
    return _shown(request, _TOO_LARGE)


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    return _shown(request, not_found() if status == HTTPStatus.NOT_FOUND else _REFUSED)


def _unavailable(request: Request, error: Exception) -> Response:
    if not is_transient(error):
        return show_failure(request, error)
    log.warning("request.unavailable", error=type(error).__name__)
    return _shown(request, unavailable())


def show_failure(request: Request, error: Exception) -> Response:
    """For what nobody expected."""
    log.error("request.failed", exc_info=error)
    return _shown(request, _INTERNAL)
