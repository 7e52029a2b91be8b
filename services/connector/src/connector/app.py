"""Builds the connector: settings in, a running service out. The only place that knows real parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from common import logs
from common.crypto.keyring import LiveKeyring
from common.crypto.sealing import Sealer
from common.http.app import make_app, serve
from common.http.gate import guard
from common.http.tokens import LiveTokens
from common.rate_limits import Limiter, Rate
from common.service import assemble, started
from common.settings import load
from contract.topics import COMMANDS_TOPIC
from fastapi import FastAPI
from xai_usage import client

from connector.api import Routes
from connector.commands import handlers as command_handlers
from connector.commands.intake import Intake
from connector.commands.opening import SealedCommandOpener
from connector.commands.results import Results
from connector.commands.worker import Worker
from connector.connection_check import ConnectionTest
from connector.events.stream import Live
from connector.events.subscribers import Audience
from connector.handlers import Handlers, table
from connector.integrations import Life
from connector.outbox.relay import Markers, Relay
from connector.sealing_key import sealing_key_route
from connector.settings import ConnectorSettings


def create_app(settings: ConnectorSettings) -> FastAPI:
    """The connector as an ASGI app; nothing is connected before its lifespan begins. Raises KeyFileError, TokensError."""
    parts = assemble(settings, "connector")
    relay = Relay(parts.database, parts.publisher, parts.watchdog)
    markers = Markers(parts.database, parts.publisher)
    xai = client(settings.xai_base_url, deadline=20.0)
    test = ConnectionTest(xai, _now)
    sealer = Sealer(LiveKeyring(settings.keyring_file), settings.environment)
    command_opener = SealedCommandOpener(settings.sealing_key_file, settings.environment)
    life = Life(parts.database, test, sealer, relay.wake)
    audience = Audience(parts.database, parts.watchdog)
    live = Live(parts.database, audience, clock=_now)
    results = Results(parts.database, parts.publisher, parts.watchdog)
    worker = Worker(
        parts.database,
        command_handlers.table(command_handlers.Commands(life, command_opener)),
        results.wake,
        parts.watchdog,
        in_flight=settings.connector_commands_in_flight,
        instance_name=settings.instance_name,
    )
    intake = Intake(parts.database, worker.wake, results.wake)
    answered = {COMMANDS_TOPIC: intake.refuse}
    for topic, handlers in table(Handlers(parts.database, relay.wake), intake).items():
        parts.consumers.on(topic, handlers, answered.get(topic))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with xai, started(parts, settings, relay.run, markers.run, audience.run, worker.run, results.run):
            yield

    app = make_app("connector", parts.watchdog, lifespan, parts.ready)
    guard(app, LiveTokens(settings.api_tokens_file), requests_per_second=settings.api_requests_per_second)
    routes = Routes(parts.database, parts.publisher, test, life, _tests_at(settings), clock=_now)
    app.include_router(routes.router())
    app.include_router(sealing_key_route(command_opener.recipient, settings.environment))
    app.include_router(live.router())
    app.state.leave = live.leave
    return app


def _tests_at(settings: ConnectorSettings) -> Limiter:
    count = settings.connector_tests_per_minute
    return Limiter(Rate(count, 60), f"Connections of an account may be tested {count} times a minute.")


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    """Run the connector with the settings of the environment."""
    settings = load(ConnectorSettings)
    logs.configure("connector", settings.log_level)
    serve(lambda: create_app(settings), host=settings.host, port=settings.port)
