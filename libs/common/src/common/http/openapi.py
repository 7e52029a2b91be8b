"""The part of the OpenAPI documents that all routes share: every status and code that a route can answer with."""

from collections import defaultdict
from typing import Any

from contract.problems import CAUSES, Code, members
from pydantic import BaseModel, ConfigDict, Field

ANYWHERE = (
    Code.TOKEN_REFUSED,
    Code.SCOPE_MISSING,
    Code.NOT_FOUND,
    Code.REQUEST_TOO_SLOW,
    Code.REQUEST_TOO_LARGE,
    Code.CONTENT_TYPE_UNSUPPORTED,
    Code.REQUEST_MALFORMED,
    Code.TOO_MANY_REQUESTS,
    Code.INTERNAL,
    Code.UNAVAILABLE,
)
"""Codes of every route under `/v1`."""

_RETRY_AFTER = {
    "description": "Seconds to wait before the next attempt.",
    "schema": {"type": "string", "pattern": "^[0-9]+$"},
}
_CHALLENGE = {"description": "The scheme that is accepted.", "schema": {"type": "string", "const": "Bearer"}}
HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": _CHALLENGE | {"required": True}},
    422: {"Retry-After": _RETRY_AFTER},
    429: {"Retry-After": _RETRY_AFTER | {"required": True}},
    503: {"Retry-After": _RETRY_AFTER | {"required": True}},
}
"""By status."""

Responses = dict[int | str, dict[str, Any]]


class WrongField(BaseModel):
    """A field of a request that is wrong."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    field: str = Field(examples=["body.plan"])
    """Its path, joined by dots."""
    problem: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """Why a request failed: RFC 9457, with a stable `code`. Further members may be added."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """`urn:grafient:problem:` and the code."""
    title: str
    status: int
    detail: str
    """The next step, for people."""
    code: Code
    errors: list[WrongField] = []
    """With `request_malformed`: the fields."""
    hints: list[str] = []
    """With a refusal of xAI: what to check first."""
    integration_id: str | None = None
    """With `already_connected`: the integration that has the team."""
    scope: str | None = None
    """With `scope_missing`: the one that is missing."""


def answers(*codes: Code) -> Responses:
    """For `responses=` of a route: the problems of `codes`, and those of every route."""
    by_status: dict[int, list[Code]] = defaultdict(list)
    for code in dict.fromkeys((*ANYWHERE, *codes)):
        by_status[CAUSES[code].status].append(code)
    return {status: _answer(status, of_status) for status, of_status in sorted(by_status.items())}


def _answer(status: int, codes: list[Code]) -> dict[str, Any]:
    narrowed = {
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": {"status": {"const": status}, "code": {"enum": [code.value for code in codes]}},
    }
    examples = {code.value: {"value": members(code)} for code in codes}
    content = {"application/problem+json": {"schema": narrowed, "examples": examples}}
    response = {"description": "; ".join(CAUSES[code].title for code in codes) + ".", "content": content}
    return response | ({"headers": HEADERS[status]} if status in HEADERS else {})
