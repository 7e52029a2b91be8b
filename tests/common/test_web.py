"""What every service answers over HTTP."""

from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from common.failures import TransientError
from common.problems import Code, ProblemError
from common.progress import Progress
from common.web import make_app
from fastapi import FastAPI
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError, ProgrammingError

FAKE = "obviously-fake-value"
ERRORS = {
    "problem": ProblemError(Code.ALREADY_CONNECTED, integration_id="1"),
    "away": OperationalError(FAKE, {"key": FAKE}, Exception(FAKE), hide_parameters=True),
    "transient": TransientError(FAKE),
    "statement": ProgrammingError(FAKE, {"key": FAKE}, Exception(FAKE), hide_parameters=True),
    "bug": ValueError(FAKE),
}


class Body(BaseModel):
    number: Annotated[int, Field(ge=1)]
    team_id: Annotated[str, Field(pattern="^[a-z]{1,4}$")]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Away:
    away = False

    async def __call__(self) -> None:
        if self.away:
            raise ConnectionError(FAKE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ready() -> Away:
    return Away()


@pytest.fixture
async def client(clock: Clock, ready: Away) -> AsyncIterator[httpx.AsyncClient]:
    progress = Progress(clock)
    progress.expect("worker", within=40)
    app: FastAPI = make_app("test", progress, None, ready)  # type: ignore[arg-type]  # nothing to open

    @app.get("/v1/fails/{how}")
    async def fails(how: str) -> None:
        raise ERRORS[how]

    @app.post("/v1/takes")
    async def takes(body: Body) -> int:
        return body.number

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_a_process_is_alive_while_its_loops_make_progress(client: httpx.AsyncClient, clock: Clock) -> None:
    assert (await client.get("/livez")).json() == {"ok": True, "stalled": []}
    clock.now = 41
    answer = await client.get("/livez")
    assert (answer.status_code, answer.json()["stalled"]) == (503, ["worker has ended no attempt for 41 s"])


async def test_a_process_is_ready_while_nothing_is_away(client: httpx.AsyncClient, ready: Away) -> None:
    assert (await client.get("/readyz")).status_code == 200
    ready.away = True
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ok": False, "away": "ConnectionError"})


async def test_metrics_are_told(client: httpx.AsyncClient) -> None:
    await client.get("/livez")
    assert 'progress_age_seconds{loop="worker"}' in (await client.get("/metrics")).text


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/nothing", 404, "not_found"),
        ("/openapi.json", 404, "not_found"),
        ("/v1/takes", 405, "request_malformed"),
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

    assert 400 <= answer.status_code < 500
    assert answer.json()["code"] == "request_malformed"
