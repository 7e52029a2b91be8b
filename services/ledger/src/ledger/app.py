"""Builds the ledger from its settings; the only module that creates real parts."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from common import logs, tracing
from common.database import Database, make_engine
from common.http.app import make_app
from common.http.gate import guard
from common.http.server import serve
from common.http.tokens import LiveTokens
from common.service import assemble, started
from common.settings import load
from fastapi import FastAPI

from ledger.api import Routes
from ledger.handlers import BATCH_HANDLERS, HANDLERS, Handlers
from ledger.history.api import HistoryRoutes
from ledger.reports.api import ReportRoutes
from ledger.reports.export import Exports
from ledger.settings import LedgerSettings

READ_CONNECTIONS = 8
"""Of a pool of its own, at most: readers wait for each other, and the consumer for none of them."""
READ_SESSION = {"statement_timeout": "5000", "default_transaction_read_only": "on"}
"""A statement that reads for longer (ms) ends, and the request with it: 503."""
COLLECT_AFTER = 20_000
"""Objects. A batch of days is 50,000, all free of cycles: to look for some after every 700 took a third of its time."""


def create_app(settings: LedgerSettings) -> FastAPI:
    """The ledger as an ASGI app; nothing is connected before its lifespan begins. Raises TokensError."""
    tracing.start("ledger", settings)
    parts = assemble(settings, "ledger")
    engine = make_engine(settings.database_url, schema="ledger", pool_size=READ_CONNECTIONS, session=READ_SESSION)
    reading = Database(engine)
    handlers = Handlers(parts.database, parts.publisher)
    parts.consumers.subscribe(handlers, HANDLERS, BATCH_HANDLERS)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with started(parts, settings):
            try:
                yield
            finally:
                await reading.close()

    app = make_app("ledger", parts.watchdog, lifespan, {"postgres": reading.ping}, parts.checks)
    guard(app, LiveTokens(settings.api_tokens_file), requests_per_second=settings.api_requests_per_second)
    for routes in (Routes, ReportRoutes, HistoryRoutes, Exports):
        app.include_router(routes(reading, clock=lambda: datetime.now(UTC)).router())
    return app


def main() -> None:
    """Run the ledger with the settings of the environment."""
    settings = load(LedgerSettings)
    logs.configure("ledger", settings.log_level)
    gc.set_threshold(COLLECT_AFTER)
    serve(
        lambda: create_app(settings),
        host=settings.host,
        port=settings.port,
        keep_alive=settings.http_keep_alive_seconds,
        stop_pause=settings.http_stop_pause_seconds,
    )
