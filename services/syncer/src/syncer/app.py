"""Builds the syncer: settings in, a running service out. The only place that knows real parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from common import logs, tracing
from common.crypto.keyring import LiveKeyring
from common.crypto.sealing import Opener
from common.http.app import make_app
from common.http.server import serve
from common.service import assemble, started
from common.settings import load
from fastapi import FastAPI
from xai_usage import ROUTE, client

from syncer.attempt import Attempt
from syncer.handlers import BATCH_HANDLERS, GATHERED, HANDLERS, Handlers
from syncer.healer import Healer
from syncer.housekeeping import Housekeeping
from syncer.request_ends import RequestEnds
from syncer.settings import SyncerSettings
from syncer.worker import WindowQueue, make_worker
from syncer.xai.calls import Xai
from syncer.xai.pacing import CallLimits

POOL_SIZE = 16
"""Connections to Postgres, at most: most statements share a few, whatever the calls in flight."""


def create_app(settings: SyncerSettings) -> FastAPI:
    """The syncer as an ASGI app; nothing is connected before its lifespan begins. Raises KeyFileError."""
    tracing.start("syncer", settings)
    parts = assemble(settings, "syncer", pool_size=POOL_SIZE)
    in_flight, wrap = settings.calls_in_flight, partial(tracing.traced_client, route=ROUTE)
    xai_client = client(settings.xai_base_url, contact=settings.xai_contact, in_flight=in_flight, wrap=wrap)
    xai = Xai(xai_client, Opener(LiveKeyring(settings.keyring_file), settings.environment))
    attempt = Attempt(parts.database, parts.publisher, xai, CallLimits(*settings.call_rates()), in_flight=in_flight)
    queue = WindowQueue(parts.database, attempt, settings.instance_name)
    worker = make_worker(queue, parts.watchdog, in_flight=in_flight)
    every = settings.heal_every
    healer = Healer(parts.database, parts.watchdog, every=every, wake_worker=worker.wake)
    request_ends = RequestEnds(parts.database, parts.publisher, parts.watchdog)
    housekeeping = Housekeeping(parts.database, parts.watchdog, every=every)
    handlers = Handlers(parts.database, worker.wake, healer.wake)
    parts.consumers.subscribe(handlers, HANDLERS, BATCH_HANDLERS, gathered=GATHERED)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        loops = (worker.run, healer.run, request_ends.run, *(loop.run for loop in housekeeping.loops))
        async with xai_client, started(parts, settings, *loops):
            yield

    return make_app("syncer", parts.watchdog, lifespan, parts.checks | {"credentials": xai.ready})


def main() -> None:
    """Run the syncer with the settings of the environment."""
    settings = load(SyncerSettings)
    logs.configure("syncer", settings.log_level)
    serve(lambda: create_app(settings), host=settings.host, port=settings.port)
