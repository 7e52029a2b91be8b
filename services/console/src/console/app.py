"""Builds the console from its settings; the only module that creates real parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from common import logs, tracing
from common.http.app import make_app
from common.http.server import serve
from common.settings import load
from common.watchdog import Watchdog
from common.watched_file import WatchedFile
from fastapi import FastAPI

from console.links import load_secrets
from console.live import Relay
from console.pages.dashboard import DashboardPage
from console.pages.day import DayPage
from console.pages.enter import EnterPages
from console.pages.export import ExportPage
from console.pages.integration import IntegrationPage
from console.pages.integrations import IntegrationsPage
from console.pages.live import LivePage
from console.pages.models import ModelsPage
from console.pages.problems import show_failure, show_problems
from console.pages.static import StaticFiles
from console.parts import Parts
from console.rendering import Renderer
from console.security import Security
from console.sessions import Sessions
from console.settings import ConsoleSettings
from console.store import UsedLinks
from console.upstream import Upstream, client

PAGES = (
    *(EnterPages, DashboardPage, ModelsPage, DayPage, ExportPage, IntegrationsPage, IntegrationPage, LivePage),
    StaticFiles,
)
STREAMS = 500
"""Accounts that are looked at by one process at the same time, as many as one connector allows."""


def create_app(settings: ConsoleSettings) -> FastAPI:
    """The console as an ASGI app; nothing is connected before its lifespan begins. Raises LinkSecretsError."""
    tracing.start("console", settings)
    used_links = UsedLinks(settings.database_url)
    connector = client(settings.console_connector_url, settings.console_api_token)
    events = client(settings.console_connector_url, settings.console_api_token, connections=STREAMS)
    ledger = client(settings.console_ledger_url, settings.console_api_token)
    link_secrets = WatchedFile(settings.console_link_secrets_file, load_secrets)
    sessions = Sessions(link_secrets.content, secure=settings.console_url.startswith("https:"))
    parts = Parts(Upstream(connector), Upstream(ledger), Relay(events), sessions, used_links, link_secrets, _now)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with connector, ledger, events:
            await used_links.ping()
            yield

    app = make_app("console", Watchdog(), lifespan, {"postgres": used_links.ping})
    app.state.on_shutdown = parts.relay.leave
    add_pages(app, parts, Renderer(settings.console_theme_file))
    return app


def add_pages(app: FastAPI, parts: Parts, renderer: Renderer) -> None:
    """Make `app` serve the pages, and answer in pages."""
    app.state.sessions, app.state.renderer = parts.sessions, renderer
    app.add_middleware(Security, failed=show_failure)
    show_problems(app)
    for pages in PAGES:
        app.include_router(pages(parts).router(), include_in_schema=False)


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    """Run the console with the settings of the environment."""
    settings = load(ConsoleSettings)
    logs.configure("console", settings.log_level)
    serve(
        lambda: create_app(settings),
        host=settings.host,
        port=settings.port,
        keep_alive=settings.http_keep_alive_seconds,
        stop_pause=settings.http_stop_pause_seconds,
    )
