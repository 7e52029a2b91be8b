"""A process that stops loses no request: who is before it learns of it in time, and closes what it holds."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from common.http.app import make_app
from common.http.server import KEEP_ALIVE, server_of
from common.watchdog import Watchdog
from grafient.local.processes import free_ports
from uvicorn import Server

from tests.support.fakes import no_lifespan

DEADLINE = 20.0
CLIENTS = 8
THINKS = 0.05
"""Seconds between two calls of a pooled client; its connections are idle meanwhile."""


async def _ready() -> None:
    """Nothing is unavailable."""


class Process:
    """One process of a service, on a port that it keeps; its pause before it closes lasts as long as a test wants."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.work = asyncio.Event()
        self.pauses: list[float] = []
        self._pause_is_over = asyncio.Event()
        self.server: Server

    async def start(self) -> None:
        app = make_app("test", Watchdog(), no_lifespan, {"postgres": _ready})
        app.get("/work")(self._working)
        self._pause_is_over.clear()
        self.server = server_of(app, host="127.0.0.1", port=self.port, stop_pause=5, pause=self._pause)
        self._serving = asyncio.create_task(self.server.serve())
        async with asyncio.timeout(DEADLINE):
            while not self.server.started:
                await asyncio.sleep(0.01)

    async def _working(self) -> str:
        await self.work.wait()
        return "done"

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self._pause_is_over.wait()

    def begin_to_stop(self) -> None:
        self.server.should_exit = True

    async def stopped(self) -> None:
        self.begin_to_stop()
        self._pause_is_over.set()
        async with asyncio.timeout(DEADLINE):
            await self._serving


@asynccontextmanager
async def running(count: int = 1) -> AsyncIterator[list[Process]]:
    processes = [Process(port) for port in free_ports(count)]
    async with AsyncExitStack() as stack:
        for process in processes:
            await process.start()
            stack.push_async_callback(process.stopped)
        yield processes


@asynccontextmanager
async def pooled(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}", trust_env=False) as http:
        yield http


async def _not_ready(http: httpx.AsyncClient) -> httpx.Response:
    async with asyncio.timeout(DEADLINE):
        while (answer := await http.get("/readyz")).status_code == 200:
            await asyncio.sleep(0.01)
    return answer


async def test_a_stopping_process_is_not_ready_and_closes_each_connection_with_its_next_answer() -> None:
    async with running() as [process], pooled(process) as http:
        assert "connection" not in (await http.get("/readyz")).headers
        process.begin_to_stop()

        answer = await _not_ready(http)

        assert (answer.json(), answer.headers["connection"]) == ({"ok": False, "stopping": True}, "close")
        assert (await http.get("/livez")).headers["connection"] == "close"


async def test_an_answer_to_a_request_in_work_closes_its_connection() -> None:
    async with running() as [process], pooled(process) as http:
        answer = asyncio.create_task(http.get("/work"))
        async with asyncio.timeout(DEADLINE):
            while not process.server.server_state.connections:
                await asyncio.sleep(0.01)
        process.begin_to_stop()
        await _not_ready(http)
        process.work.set()

        assert ((await answer).json(), (await answer).headers["connection"]) == ("done", "close")


async def test_a_stopping_process_takes_new_connections_until_its_pause_is_over() -> None:
    async with running() as [process], pooled(process) as http:
        process.begin_to_stop()
        await _not_ready(http)
        async with pooled(process) as another:
            assert (await another.get("/livez")).status_code == 200

        await process.stopped()

        assert process.pauses == [5]
        with pytest.raises(httpx.ConnectError):
            await http.get("/livez")


async def test_a_connection_stays_open_longer_than_pools_keep_one() -> None:
    app = make_app("test", Watchdog(), no_lifespan, {"postgres": _ready})
    assert server_of(app, host="", port=0).config.timeout_keep_alive == 120
    assert KEEP_ALIVE > 90


class Balancer:
    """Knows which process is ready, as of its last look; its clients keep connections to each."""

    def __init__(self, processes: list[Process]) -> None:
        self._ready = {process.port: True for process in processes}
        self._turn = 0
        self.calls = [0] * CLIENTS
        self.failures: list[str] = []

    def next(self) -> str:
        self._turn += 1
        ready = [port for port, is_ready in self._ready.items() if is_ready]
        return f"http://127.0.0.1:{ready[self._turn % len(ready)]}"

    async def look(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as http:
            while True:
                for port in self._ready:
                    try:
                        answer = await http.get(f"http://127.0.0.1:{port}/readyz")
                        self._ready[port] = answer.status_code == 200
                    except httpx.HTTPError:
                        self._ready[port] = False
                await asyncio.sleep(0.01)

    async def until(self, port: int, *, ready: bool) -> None:
        """Until it has noticed, and each client has called again."""
        async with asyncio.timeout(DEADLINE):
            while self._ready[port] is not ready:
                await asyncio.sleep(0.01)
            before = list(self.calls)
            while any(now < then + 2 for now, then in zip(self.calls, before, strict=True)):
                await asyncio.sleep(0.01)

    async def call(self, number: int) -> None:
        await asyncio.sleep(THINKS * number / CLIENTS)
        async with httpx.AsyncClient(trust_env=False) as http:
            while True:
                try:
                    answer = await http.get(f"{self.next()}/work")
                    self.failures += [] if answer.status_code == 200 else [str(answer.status_code)]
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                self.calls[number] += 1
                await asyncio.sleep(THINKS)


# A look that connects just when a server closes: asyncio 3.11 has accepted it, and drops it without closing its socket.
@pytest.mark.filterwarnings("ignore:.*(_SelectorTransport|socket):pytest.PytestUnraisableExceptionWarning")
async def test_pooled_clients_lose_no_call_over_a_rolling_restart() -> None:
    async with running(2) as processes:
        for process in processes:
            process.work.set()
        balancer = Balancer(processes)
        tasks = [asyncio.create_task(one) for one in (balancer.look(), *map(balancer.call, range(CLIENTS)))]
        for process in processes:
            process.begin_to_stop()
            await balancer.until(process.port, ready=False)
            await process.stopped()
            await process.start()
            await balancer.until(process.port, ready=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    gc.collect()  # here, not during another test

    assert balancer.failures == []
