"""Builds the connector: settings in, a running service out. The only place that knows real parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from common import logs
from common.keyring import load_keyring
from common.sealing import Sealer
from common.service import assemble, started
from common.settings import load
from common.tokens import load_tokens
from common.web import make_app, serve
from fastapi import FastAPI
from xai_usage import client

from connector.api import Routes
from connector.connection import ConnectionTest
from connector.handlers import Handlers, table
from connector.life import Life
from connector.relay import Markers, Relay
from connector.settings import ConnectorSettings


def create_app(settings: ConnectorSettings) -> FastAPI:
    """The connector as an ASGI app; nothing is connected before its lifespan begins. Raises KeyringError, TokensError."""
    parts = assemble(settings, "connector")
    relay = Relay(parts.database, parts.publisher, parts.progress)
    markers = Markers(parts.database, parts.publisher)
    xai = client(settings.xai_base_url, deadline=20.0)
    test = ConnectionTest(xai, _now)
    sealer = Sealer(load_keyring(settings.keyring_file), settings.environment)
    life = Life(parts.database, test, sealer, relay.wake)
    for topic, handlers in table(Handlers(parts.database, relay.wake)).items():
        parts.consumers.on(topic, handlers)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with xai, started(parts, settings, relay.run, markers.run):
            yield

    app = make_app("connector", parts.progress, lifespan, parts.ready)
    app.state.tokens = load_tokens(settings.api_tokens_file)
    routes = Routes(parts.database, parts.publisher, test, life, clock=_now)
    app.include_router(routes.router())
    return app


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    """Run the connector with the settings of the environment."""
    settings = load(ConnectorSettings)
    logs.configure("connector", settings.log_level)
    serve(lambda: create_app(settings), host=settings.host, port=settings.port)
