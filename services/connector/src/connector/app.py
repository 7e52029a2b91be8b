"""Builds the connector: settings in, a running service out. The only place that knows real parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from common import logs, tracing
from common.crypto.keyring import LiveKeyring
from common.crypto.sealing import Sealer
from common.http.app import make_app
from common.http.gate import guard
from common.http.server import serve
from common.http.tokens import LiveTokens
from common.kafka.consumer import bind
from common.leases import LeasedWorker
from common.rate_limits import Limiter, Rate
from common.service import assemble, started
from common.settings import load
from fastapi import FastAPI
from xai_usage import ROUTE, client

from connector.api import IntegrationRoutes
from connector.backlog import Backlog
from connector.commands.api import CommandRoutes
from connector.commands.handlers import COMMAND_HANDLERS, Commands
from connector.commands.intake import Intake
from connector.commands.opening import SealedCommandOpener
from connector.commands.results import Results
from connector.commands.worker import CommandQueue
from connector.connection_check import ConnectionTest
from connector.events.stream import EventRoutes
from connector.events.subscribers import Subscribers
from connector.handlers import BATCH_HANDLERS, HANDLERS, INTAKE, Handlers
from connector.housekeeping import Housekeeping
from connector.integrations import Integrations
from connector.outbox.relay import Relay
from connector.sealing_key import SealingKeyRoutes
from connector.settings import ConnectorSettings


def create_app(settings: ConnectorSettings) -> FastAPI:
    """The connector as an ASGI app; nothing is connected before its lifespan begins. Raises KeyFileError, TokensError."""
    tracing.start("connector", settings)
    parts = assemble(settings, "connector")
    relay = Relay(parts.database, parts.publisher, parts.watchdog)
    housekeeping = Housekeeping(parts.database, parts.publisher, parts.watchdog)
    wrap = partial(tracing.traced_client, route=ROUTE)
    xai = client(settings.xai_base_url, deadline=20.0, contact=settings.xai_contact, wrap=wrap)
    test = ConnectionTest(xai, _now)
    sealer = Sealer(LiveKeyring(settings.keyring_file), settings.environment)
    command_opener = SealedCommandOpener(settings.sealing_key_file, settings.environment)
    integrations = Integrations(parts.database, test, sealer, relay.wake)
    subscribers = Subscribers(parts.database, parts.watchdog)
    results = Results(parts.database, parts.publisher, parts.watchdog)
    commands = bind(COMMAND_HANDLERS, Commands(integrations, command_opener))
    queue = CommandQueue(parts.database, commands, results.wake, owner=settings.instance_name)
    worker = LeasedWorker("commands", parts.watchdog, queue, in_flight=settings.connector_commands_in_flight)
    intake = Intake(parts.database, worker.wake, results.wake)
    parts.consumers.subscribe(Handlers(parts.database, relay.wake), HANDLERS, BATCH_HANDLERS)
    parts.consumers.subscribe(intake, INTAKE, on_give_up=intake.reject_unreadable)
    backlog = Backlog(parts.database, parts.watchdog)
    loops = [one.run for one in (relay, housekeeping, subscribers, worker, results, backlog)]

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with xai, started(parts, settings, *loops):
            yield

    app = make_app("connector", parts.watchdog, lifespan, parts.checks)
    guard(app, LiveTokens(settings.api_tokens_file), requests_per_second=settings.api_requests_per_second)
    tests = _tests_at(settings)
    events = EventRoutes(parts.database, subscribers, clock=_now)
    for routes in (
        IntegrationRoutes(parts.database, parts.publisher, test, integrations, tests, clock=_now),
        CommandRoutes(parts.database),
        SealingKeyRoutes(command_opener.recipient, settings.environment),
        events,
    ):
        app.include_router(routes.router())
    app.state.on_shutdown = events.leave
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
    serve(
        lambda: create_app(settings),
        host=settings.host,
        port=settings.port,
        keep_alive=settings.http_keep_alive_seconds,
        stop_pause=settings.http_stop_pause_seconds,
    )
