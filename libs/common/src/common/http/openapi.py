"""What OpenAPI says of a service: who may ask, and every status and code that a route can answer with."""

from collections import defaultdict
from typing import Any

from contract.problems import CAUSES, Code, members
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

ANYWHERE = (
    Code.TOKEN_REFUSED,
    Code.SCOPE_MISSING,
    Code.NOT_FOUND,
    Code.REQUEST_TOO_SLOW,
    Code.REQUEST_TOO_LARGE,
    Code.REQUEST_MALFORMED,
    Code.TOO_MANY_REQUESTS,
    Code.INTERNAL,
    Code.UNAVAILABLE,
)
"""What each route under `/v1` can answer with."""

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

Answers = dict[int | str, dict[str, Any]]


class WrongField(BaseModel):
    """What is wrong with a field of a request."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    field: str = Field(examples=["body.plan"])
    """Where it stands, its parts joined by dots."""
    problem: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """Why a request was not done: RFC 9457, with a stable `code`. Further members may come."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """`urn:grafient:problem:` and the code."""
    title: str
    status: int
    detail: str
    """The next step, in words."""
    code: Code
    errors: list[WrongField] = []
    """With `request_malformed`: the fields."""
    hints: list[str] = []
    """With a refusal of xAI: what to look at first."""
    integration_id: str | None = None
    """With `already_connected`: the integration that has the team."""
    scope: str | None = None
    """With `scope_missing`: the one that is missing."""


def answers(*codes: Code) -> Answers:
    """For `responses=` of a route: the problems of `codes`, beside those that any route has."""
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
    told = {"description": "; ".join(CAUSES[code].title for code in codes) + ".", "content": content}
    return told | ({"headers": HEADERS[status]} if status in HEADERS else {})


def document_of(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1 of `app`; its routes name their answers by `answers`, and themselves by `operation_id`."""
    document = app.openapi()
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    shared = {f"problem_{status}": answer for status, answer in answers().items()}
    for operation in (one for path in document["paths"].values() for one in path.values()):
        operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
        for parameter in operation.get("parameters", []):
            _without_null(parameter["schema"])
        operation["responses"] = {status: _shared(answer, shared) for status, answer in operation["responses"].items()}
    components = document["components"]
    components["schemas"] = dict(sorted((components["schemas"] | problem.pop("$defs") | {"Problem": problem}).items()))
    components["responses"] = shared
    return document


def _without_null(schema: dict[str, Any]) -> None:
    """A parameter that may be left out is never null: no address and no header can say so."""
    others = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if len(others) == 1:
        del schema["anyOf"]
        schema |= others[0]


def _shared(answer: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    same = next((name for name, one in shared.items() if one == answer), None)
    return {"$ref": f"#/components/responses/{same}"} if same else answer
