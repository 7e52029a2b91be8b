"""What a page shows, taken from the address of a request."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request

from console.domain import View, ViewError
from console.errors import PageError


def view_of(query: Mapping[str, str]) -> View:
    """The view that a query string describes; raises PageError."""
    try:
        return View.of(query)
    except ViewError as error:
        raise PageError(HTTPStatus.BAD_REQUEST, "The address is not complete", str(error)) from None


def shown(request: Request) -> View:
    """A dependency of pages about a period; raises PageError."""
    return view_of(request.query_params)


Shown = Annotated[View, Depends(shown)]
