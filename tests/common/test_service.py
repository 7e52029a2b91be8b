"""A service's life: it refuses to start where it would not work, and ends in time."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from common.kafka.client import TopicsError
from common.service import Parts, assemble, started
from common.settings import ServiceSettings
from contract.access import ACCESS, BrokerAccess
from contract.topics import TOPICS
from pydantic import SecretStr


@pytest.fixture
def settings(kafka: str, postgres: str) -> ServiceSettings:
    return ServiceSettings(kafka_bootstrap_servers=kafka, database_url=SecretStr(postgres), port=8009)


@pytest.fixture(autouse=True)
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Signals that the process sends to itself, which the test survives."""
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _, sign: sent.append(sign))
    return sent


@pytest.fixture(autouse=True)
def access(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service of the test may read everything."""
    monkeypatch.setitem(ACCESS, "testservice", BrokerAccess("testservice", reads=TOPICS))


@asynccontextmanager
async def running(settings: ServiceSettings, *loops: object) -> AsyncIterator[Parts]:
    parts = assemble(settings, "testservice")
    async with started(parts, settings, *loops):  # type: ignore[arg-type]  # they are loops
        yield parts


async def until_stalled(parts: Parts) -> list[str]:
    async with asyncio.timeout(5):
        while not (found := parts.watchdog.stalled()):
            await asyncio.sleep(0.01)
    return found


async def test_a_started_service_is_ready_and_alive(settings: ServiceSettings, killed: list[int]) -> None:
    async with running(settings) as parts:
        for check in parts.checks.values():
            await check()
        assert parts.watchdog.stalled() == []
    assert killed == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"name": "xai.never.v1"}, "xai.never.v1 is missing"), ({"partitions": 7}, "instead of 7")],
)
async def test_a_service_does_not_start_on_topics_that_are_not_as_declared(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], sentence: str
) -> None:
    other = (*TOPICS[1:], replace(TOPICS[0], **change))  # type: ignore[arg-type]  # fields of it
    monkeypatch.setitem(ACCESS, "testservice", BrokerAccess("testservice", reads=other))
    with pytest.raises(TopicsError, match=sentence):
        async with running(settings):
            pass


async def test_a_service_does_not_start_without_its_database(settings: ServiceSettings) -> None:
    unreachable = settings.model_copy(
        update={"database_url": SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/none")}
    )
    with pytest.raises(Exception, match="connection"):
        async with running(unreachable):
            pass


async def test_a_loop_ends_with_its_service(settings: ServiceSettings, killed: list[int]) -> None:
    ended: list[str] = []

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("loop")

    async with running(settings, loop):
        await asyncio.sleep(0)
    assert (ended, killed) == (["loop"], [])


async def _bug() -> None:
    raise ValueError("a bug")


async def _leak() -> None:
    raise asyncio.CancelledError


async def _return() -> None:
    return


@pytest.mark.parametrize(("loop", "reason"), [(_bug, "ValueError"), (_leak, "CancelledError"), (_return, "ended")])
async def test_a_loop_that_ends_by_itself_ends_the_process(
    settings: ServiceSettings, killed: list[int], loop: object, reason: str
) -> None:
    async with running(settings, loop) as parts:
        assert (await until_stalled(parts))[0].endswith(f": {reason}")
    assert len(killed) == 1


async def test_stopping_has_a_deadline(settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.service.STOP_DEADLINE", 0.2)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    parts = assemble(settings, "testservice")
    async with started(parts, settings, stubborn):
        await asyncio.sleep(0)
        before = time.monotonic()
    assert time.monotonic() - before < 5
    release.set()
    await parts.broker.stop()
