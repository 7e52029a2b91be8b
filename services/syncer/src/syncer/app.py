"""Builds the syncer: settings in, a running service out. The only place that knows real parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common import logs
from common.crypto.keyring import LiveKeyring
from common.crypto.sealing import Opener
from common.http.app import make_app, serve
from common.service import assemble, started
from common.settings import load
from fastapi import FastAPI
from xai_usage import client

from syncer.handlers import BATCH, Handlers, batches, table
from syncer.healer import Healer
from syncer.settings import SyncerSettings
from syncer.worker import Worker
from syncer.xai.calls import Xai


def create_app(settings: SyncerSettings) -> FastAPI:
    """The syncer as an ASGI app; nothing is connected before its lifespan begins. Raises KeyFileError."""
    parts = assemble(settings, "syncer", pool_size=settings.calls_in_flight)
    xai_client = client(settings.xai_base_url)
    xai = Xai(xai_client, Opener(LiveKeyring(settings.keyring_file), settings.environment))
    worker = Worker(
        parts.database,
        parts.publisher,
        xai,
        parts.watchdog,
        settings.pace(),
        in_flight=settings.calls_in_flight,
        instance_name=settings.instance_name,
    )
    healer = Healer(parts.database, parts.publisher, parts.watchdog, every=settings.heal_every, wake=worker.wake)
    handlers = Handlers(parts.database, worker.wake, healer.hurry)
    for topic, batch in batches(handlers).items():
        parts.consumers.on_batch(topic, batch, max_records=BATCH)
    for topic in table(handlers).keys() - batches(handlers).keys():
        parts.consumers.on(topic, table(handlers)[topic])

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with xai_client, started(parts, settings, worker.run, healer.run):
            yield

    return make_app("syncer", parts.watchdog, lifespan, parts.ready)


def main() -> None:
    """Run the syncer with the settings of the environment."""
    settings = load(SyncerSettings)
    logs.configure("syncer", settings.log_level)
    serve(lambda: create_app(settings), host=settings.host, port=settings.port)
