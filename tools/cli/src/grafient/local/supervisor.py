"""Keep the services running: start them together, restart them when they die or make no progress, end them together."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import httpx

from grafient.local.errors import StartError
from grafient.local.processes import spawn, stop, tail

READY_DEADLINE, READY_POLL = 60.0, 0.1
POLL_SECONDS = 4.0
"""Between two requests of `/livez`."""
STRIKES = 3
"""Failed requests of `/livez` in a row before a process is killed."""
START_SECONDS = 60.0
"""From its birth, in which refused connections do not count: what it needs before it listens may be unavailable."""
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)
STEADY_AFTER = 30.0
"""Seconds of life after which a death counts as the first one again."""


@dataclass(frozen=True, slots=True)
class Service:
    """A process to keep running."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    url: str | None = None
    """Where `/readyz` and `/livez` are asked; None: it only has to run."""


class Part(Protocol):
    """Kafka or Postgres: started again it has the same port and data."""

    process: asyncio.subprocess.Process | None

    async def start(self) -> None:
        """Start it and wait until it answers; raises StartError."""


async def keep_running(name: str, part: Part, report: Callable[[str], None]) -> None:
    """Start `part` again whenever its process ends, with growing pauses, until cancelled."""

    async def ended() -> None:
        assert part.process is not None  # noqa: S101 - it has been started once
        await part.process.wait()

    await _restart(name, ended, part.start, report)


async def _restart(
    name: str, ended: Callable[[], Awaitable[None]], start: Callable[[], Awaitable[None]], report: Callable[[str], None]
) -> None:
    deaths, loop = 0, asyncio.get_running_loop()
    while True:
        born = loop.time()
        await ended()
        deaths = 1 if loop.time() - born > STEADY_AFTER else deaths + 1
        report(f"{name} ended and is started again")
        await asyncio.sleep(PAUSES[min(deaths, len(PAUSES)) - 1])
        with suppress(OSError, StartError):  # what it left behind may still be ending: this counts as one more death
            await start()


class Supervisor:
    """Runs services with their output in `logs`; `report` is called with what happens."""

    def __init__(
        self,
        logs: Path,
        report: Callable[[str], None] = lambda _text: None,
        *,
        poll_seconds: float = POLL_SECONDS,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._logs = logs
        self._start_seconds = start_seconds
        self._report = report
        self._poll_seconds = poll_seconds
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._starting_until: dict[str, float] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._http = httpx.AsyncClient(timeout=3.0, trust_env=False)

    @property
    def pids(self) -> dict[str, int]:
        """Of what runs now."""
        return {name: process.pid for name, process in self._processes.items()}

    async def start(self, services: list[Service]) -> None:
        """Start all of them and wait until each is ready; raises StartError with the end of the log of one that is not."""
        for service in services:
            await self._spawn(service)
        await asyncio.gather(*(self._ready(service) for service in services))
        self._keepers |= {service.name: asyncio.create_task(self._keep(service)) for service in services}

    async def stop(self) -> None:
        """End everything, beginning with what was started last, and wait for it."""
        await self.end(list(reversed(self._processes)))
        await self._http.aclose()

    async def end(self, names: list[str]) -> None:
        """End these in this order, and wait for it; they are not started again."""
        keepers = [self._keepers.pop(name) for name in names if name in self._keepers]
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        await asyncio.gather(*(stop(self._processes[name]) for name in names))

    async def _spawn(self, service: Service) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        self._starting_until[service.name] = time.monotonic() + self._start_seconds
        self._processes[service.name] = await spawn(
            service.argv, self._log(service), env=service.env, when_orphaned=signal.SIGKILL
        )

    def _log(self, service: Service) -> Path:
        return self._logs / f"{service.name}.log"

    async def _ready(self, service: Service) -> None:
        process = self._processes[service.name]
        try:
            async with asyncio.timeout(READY_DEADLINE):
                while process.returncode is None:
                    if await self._is_well(service, "/readyz"):
                        self._report(f"{service.name} is ready")
                        return
                    await asyncio.sleep(READY_POLL)
        except TimeoutError:
            pass
        raise StartError(f"{service.name} did not start:\n{tail(self._log(service))}")

    async def _keep(self, service: Service) -> None:
        await _restart(service.name, partial(self._watch, service), partial(self._spawn, service), self._report)

    async def _watch(self, service: Service) -> None:
        """Return when the process has ended; kill it when it makes no progress."""
        process, strikes = self._processes[service.name], 0
        while process.returncode is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await process.wait()
                    return
            well = await self._is_well(service, "/livez")
            strikes = 0 if well or time.monotonic() < self._starting_until[service.name] else strikes + 1
            if strikes >= STRIKES:
                self._report(f"{service.name} makes no progress and is killed")
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)

    async def _is_well(self, service: Service, path: str) -> bool:
        """A process that takes connections has started: one that is stuck from then on is not waited for."""
        if service.url is None:
            return True
        try:
            well = (await self._http.get(service.url + path)).status_code == httpx.codes.OK
        except httpx.ConnectError:
            return False
        except httpx.HTTPError:
            well = False
        self._starting_until[service.name] = 0.0
        return well
