"""What a page shows, taken from the address of a request."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request

from console.domain import View, ViewError
from console.errors import PageError


def shown(request: Request) -> View:
    """A dependency of pages about a period; raises PageError."""
    try:
        return View.of(request.query_params)
    except ViewError as error:
        raise PageError(HTTPStatus.BAD_REQUEST, "The address is not complete", str(error)) from None


Shown = Annotated[View, Depends(shown)]
