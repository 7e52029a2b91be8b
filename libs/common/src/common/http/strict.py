"""What a request contains beyond what its route knows is refused and named: ignoring it would do something else."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from contract.problems import Code, ProblemError
from fastapi import Request
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

GUARDED = "/v1/"
JSON_TYPE = "application/json"
_NAME = re.compile(r"[A-Za-z_]{1,40}")

Errors = Iterator[dict[str, str]]


async def refuse_unknown(request: Request) -> None:
    """A dependency of every route under /v1; raises ProblemError (`content_type_unsupported`, `request_malformed`).

    Unknown members of a body that a route does take are refused by its model.
    """
    route = request.scope["route"]
    if not isinstance(route, APIRoute) or not request.url.path.startswith(GUARDED):
        return
    body = await request.body()
    if body and route.body_field is not None and _media_type(request) != JSON_TYPE:
        raise ProblemError(Code.CONTENT_TYPE_UNSUPPORTED)
    if errors := [*_query_errors(request, route), *_body_errors(body, route)]:
        raise ProblemError(Code.REQUEST_MALFORMED, errors=errors)


def shown(name: object) -> str:
    """A name that a client chose, where it has the form of one: it may be a key in the wrong place."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "(a name that is not shown)"


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _query_errors(request: Request, route: APIRoute) -> Errors:
    given = [name for name, _ in request.query_params.multi_items()]
    known = {parameter.alias for parameter in _parameters(route.dependant)}
    yield from _errors("query", "Unknown parameter", (name for name in dict.fromkeys(given) if name not in known))
    yield from _errors("query", "Given more than once", (name for name in known if given.count(name) > 1))


def _parameters(dependant: Dependant) -> Iterator[ModelField]:
    """What the route reads from the query, also by its dependencies."""
    yield from dependant.query_params
    for dependency in dependant.dependencies:
        yield from _parameters(dependency)


def _body_errors(body: bytes, route: APIRoute) -> Errors:
    doubled: dict[str, None] = {}

    def pairs(members: list[tuple[str, object]]) -> dict[str, object]:
        doubled.update(dict.fromkeys(name for name, count in Counter(name for name, _ in members).items() if count > 1))
        return dict(members)

    try:
        content = json.loads(body or b"{}", object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        content = None  # of a body that a route takes, the framework has refused it before
    yield from _errors("body", "Given more than once", doubled)
    if route.body_field is None and not isinstance(content, dict):
        yield {"field": "body", "problem": "This request takes no body"}
    elif route.body_field is None:
        yield from _errors("body", "Unknown member", content)


def _errors(place: str, problem: str, names: Iterable[str]) -> Errors:
    return ({"field": f"{place}.{shown(name)}", "problem": problem} for name in names)
