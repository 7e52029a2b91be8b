"""What every service answers over HTTP."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated, Literal
from uuid import UUID

import httpx
import pytest
from common.errors import TransientError
from common.http.app import make_app
from common.http.strict import shown
from common.watchdog import Watchdog
from contract.problems import Code, ProblemError
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError, ProgrammingError

from tests.support.fakes import MonotonicClock

FAKE = "obviously-fake-value"
ERRORS = {
    "problem": ProblemError(Code.ALREADY_CONNECTED, integration_id="1"),
    "away": OperationalError(FAKE, {"key": FAKE}, Exception(FAKE), hide_parameters=True),
    "transient": TransientError(FAKE),
    "stuck": TransientError(FAKE, retry_after=2),
    "statement": ProgrammingError(FAKE, {"key": FAKE}, Exception(FAKE), hide_parameters=True),
    "bug": ValueError(FAKE),
}


class Body(BaseModel):
    number: Annotated[int, Field(ge=1)]
    team_id: Annotated[str, Field(pattern="^[a-z]{1,4}$")]


class First(BaseModel):
    name: Literal["first"]


class Second(BaseModel):
    name: Literal["second"]


class Strict(BaseModel):
    """Every kind of field whose refusal pydantic likes to illustrate."""

    model_config = ConfigDict(extra="forbid")

    uuid: UUID
    day: date
    kind: Annotated[First | Second, Field(discriminator="name")]


class Dependency:
    unavailable = False

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __call__(self) -> None:
        if self.unavailable:
            raise self._error


@pytest.fixture
def clock() -> MonotonicClock:
    return MonotonicClock()


@pytest.fixture
def ready() -> Dependency:
    return Dependency(ConnectionError(FAKE))


@pytest.fixture
def publishing() -> Dependency:
    """Without which the routes work."""
    return Dependency(TransientError("no record was acknowledged for 16 s", retry_after=2))


@pytest.fixture
async def client(clock: MonotonicClock, ready: Dependency, publishing: Dependency) -> AsyncIterator[httpx.AsyncClient]:
    watchdog = Watchdog(clock)
    watchdog.register("worker", within=40)
    checks = {"needs": {"postgres": ready}, "uses": {"publishing": publishing, "postgres": ready}}
    app: FastAPI = make_app("test", watchdog, None, **checks)  # type: ignore[arg-type]  # nothing to open

    @app.get("/v1/fails/{how}")
    async def fails(how: str) -> None:
        raise ERRORS[how]

    @app.post("/v1/takes")
    async def takes(body: Body) -> int:
        return body.number

    @app.get("/v1/takes/both")
    async def gives() -> None: ...

    @app.put("/v1/takes/both")
    async def strict(body: Strict, since: date) -> None: ...

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_a_process_is_alive_while_its_loops_make_progress(
    client: httpx.AsyncClient, clock: MonotonicClock
) -> None:
    assert (await client.get("/livez")).json() == {"ok": True, "stalled": []}
    clock.now = 41
    answer = await client.get("/livez")
    assert (answer.status_code, answer.json()["stalled"]) == (503, ["worker has finished no attempt for 41 s"])


async def test_a_process_is_ready_while_all_that_its_routes_need_works(
    client: httpx.AsyncClient, ready: Dependency
) -> None:
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "failing": {}})
    ready.unavailable = True
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ok": False, "failing": {"postgres": "ConnectionError"}})


async def test_a_process_is_ready_while_its_routes_work_and_names_what_does_not(
    client: httpx.AsyncClient, publishing: Dependency
) -> None:
    publishing.unavailable = True
    answer = await client.get("/readyz")
    failing = {"publishing": "no record was acknowledged for 16 s"}
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "failing": failing})


async def test_a_client_is_asked_to_wait_for_as_long_as_the_error_has_it(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/fails/transient")).headers["Retry-After"] == "5"
    assert (await client.get("/v1/fails/stuck")).headers["Retry-After"] == "2"


async def test_metrics_are_exposed(client: httpx.AsyncClient) -> None:
    await client.get("/livez")
    assert 'grafient_progress_age_seconds{loop="worker"}' in (await client.get("/metrics")).text


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/nothing", 404, "not_found"),
        ("/openapi.json", 404, "not_found"),
        ("/v1/takes", 405, "method_not_allowed"),
        ("/v1/fails/problem", 409, "already_connected"),
        ("/v1/fails/away", 503, "unavailable"),
        ("/v1/fails/transient", 503, "unavailable"),
        ("/v1/fails/statement", 500, "internal"),
        ("/v1/fails/bug", 500, "internal"),
    ],
)
async def test_every_failure_is_a_problem_with_its_code(
    client: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    answer = await client.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (answer.json()["code"], answer.json()["status"]) == (code, status)
    assert FAKE not in answer.text
    assert ("Retry-After" in answer.headers) == (status == 503)


@pytest.mark.parametrize("body", [{"number": FAKE, "team_id": FAKE}, {FAKE: FAKE}, [FAKE], FAKE])
async def test_a_refused_request_names_the_fields_and_not_their_values(client: httpx.AsyncClient, body: object) -> None:
    answer = await client.post("/v1/takes", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "request_malformed")
    assert answer.json()["errors"]
    assert FAKE not in answer.text


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b""])
async def test_a_body_that_is_no_json_is_a_problem(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/v1/takes", content=body, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (422, "request_malformed")
    assert "JSON" in answer.text or not body


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/x+json", "", FAKE]
)
async def test_a_body_that_claims_to_be_something_else_is_a_problem(client: httpx.AsyncClient, kind: str) -> None:
    content = b'{"number": 1, "team_id": "team"}'

    answer = await client.post("/v1/takes", content=content, headers={"content-type": kind})

    assert (answer.status_code, answer.json()["code"]) == (415, "content_type_unsupported")
    assert "Content-Type: application/json" in answer.json()["detail"]
    assert FAKE not in answer.text


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", FAKE.upper()])
async def test_a_method_that_an_address_does_not_allow_is_refused_with_those_that_it_does(
    client: httpx.AsyncClient, method: str
) -> None:
    answer = await client.request(method, "/v1/takes/both")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, PUT")
    assert answer.headers["content-type"] == "application/problem+json"


WRITTEN = st.text(st.characters(min_codepoint=ord("A"), max_codepoint=ord("z")), min_size=8, max_size=40)
"""What a client may have written: a key in the wrong place, perhaps."""
JSON = st.recursive(
    WRITTEN | st.none() | st.booleans() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*Strict.model_fields]) | WRITTEN, inner)
    ),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=JSON, query=WRITTEN)
async def test_no_refusal_echoes_what_was_written(client: httpx.AsyncClient, body: object, query: str) -> None:
    answer = await client.put("/v1/takes/both", json=body, params={"since": query, query: query})

    assert (answer.status_code, answer.json()["code"]) == (422, "request_malformed")
    for written in {one for one in {query, *_strings(body)} if shown(one) != one}:
        assert written not in answer.text.replace("\\\\", "\\")


@pytest.mark.parametrize("field", ["uuid", "day", "kind"])
async def test_not_one_character_of_a_value_is_shown(client: httpx.AsyncClient, field: str) -> None:
    body = {"uuid": str(UUID(int=0)), "day": "2026-11-01", "kind": {"name": "first"}}
    body |= {field: {"name": "~"} if field == "kind" else "~"}

    answer = await client.put("/v1/takes/both", params={"since": "2026-11-01"}, json=body)

    assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (422, [f"body.{field}"])
    assert "~" not in answer.text


def _strings(value: object) -> set[str]:
    match value:
        case str():
            return {value} if len(value) >= 8 else set()
        case list():
            return set().union(*(_strings(one) for one in value))
        case dict():
            names = {name for name in value if name not in Strict.model_fields}
            return names.union(*(_strings(one) for one in value.values()))
        case _:
            return set()
