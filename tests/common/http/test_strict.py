"""What a route does not know is refused and named, wherever it is in the request."""

from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from common.http.app import make_app
from common.watchdog import Watchdog
from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict

from tests.support.fakes import no_lifespan

FAKE = "xai-obviously-fake-key-1"
JSON = {"content-type": "application/json"}


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    plan: str = "free"


async def ready() -> None: ...


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app: FastAPI = make_app("test", Watchdog(), no_lifespan, {"postgres": ready})

    @app.get("/v1/costs")
    async def costs(first: Annotated[str, Query(alias="from")] = "", limit: int = 1) -> str:
        return f"{first} {limit}"

    @app.post("/v1/options")
    async def options(body: Options | None = None) -> str:
        return body.plan if body else "none"

    @app.delete("/v1/costs")
    async def delete() -> None: ...

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        yield http


async def _errors(http: httpx.AsyncClient, method: str, path: str, content: str = "") -> list[tuple[str, str]]:
    answer = await http.request(method, path, content=content, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_malformed")
    assert FAKE not in answer.text
    return [(error["field"], error["problem"]) for error in answer.json()["errors"]]


UNKNOWN_PARAMETER, UNKNOWN_MEMBER, TWICE = "Unknown parameter", "Unknown member", "Given more than once"


@pytest.mark.parametrize(
    ("method", "path", "content", "errors"),
    [
        ("GET", "/v1/costs?form=2026-11-01", "", [("query.form", UNKNOWN_PARAMETER)]),
        ("GET", "/v1/costs?From=2026-11-01&limit=2", "", [("query.From", UNKNOWN_PARAMETER)]),
        ("GET", "/v1/costs?from=a&from=b", "", [("query.from", TWICE)]),
        ("GET", "/v1/costs?limit=1&limit=1&page=", "", [("query.page", UNKNOWN_PARAMETER), ("query.limit", TWICE)]),
        ("GET", f"/v1/costs?{FAKE}=1", "", [("query.(a name that is not shown)", UNKNOWN_PARAMETER)]),
        ("GET", f"/v1/costs?{'a' * 41}", "", [("query.(a name that is not shown)", UNKNOWN_PARAMETER)]),
        ("POST", "/v1/options?plan=pro", "", [("query.plan", UNKNOWN_PARAMETER)]),
        ("POST", "/v1/options", '{"Plan": "pro"}', [("body.Plan", UNKNOWN_MEMBER)]),
        ("POST", "/v1/options", f'{{"{FAKE}": 1}}', [("body.(a name that is not shown)", UNKNOWN_MEMBER)]),
        ("POST", "/v1/options", '{"plan": "pro", "plan": "pro"}', [("body.plan", TWICE)]),
        ("DELETE", "/v1/costs", '{"history": "erase"}', [("body.history", UNKNOWN_MEMBER)]),
        ("DELETE", "/v1/costs", "[]", [("body", "This request takes no body")]),
        ("DELETE", "/v1/costs", "history=erase", [("body", "This request takes no body")]),
    ],
)
async def test_what_a_route_does_not_know_is_refused_by_name(
    http: httpx.AsyncClient, method: str, path: str, content: str, errors: list[tuple[str, str]]
) -> None:
    assert await _errors(http, method, path, content) == errors


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("GET", "/v1/costs?from=2026-11-01&limit=2", ""),
        ("POST", "/v1/options", ""),
        ("POST", "/v1/options", "{}"),
        ("DELETE", "/v1/costs", ""),
        ("DELETE", "/v1/costs", "{}"),
        ("GET", "/livez?verbose", ""),
    ],
)
async def test_what_is_known_is_taken(http: httpx.AsyncClient, method: str, path: str, content: str) -> None:
    assert (await http.request(method, path, content=content, headers=JSON)).status_code == 200


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
async def test_json_may_be_declared_with_parameters(http: httpx.AsyncClient, kind: str) -> None:
    answer = await http.post("/v1/options", content='{"plan": "pro"}', headers={"content-type": kind})

    assert answer.json() == "pro"


async def test_a_body_without_a_type_is_refused_with_the_header_that_it_needs(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/options", content='{"plan": "pro"}')

    assert (answer.status_code, answer.json()["code"]) == (415, "content_type_unsupported")
    assert "Content-Type: application/json" in answer.json()["detail"]
