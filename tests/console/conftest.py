"""The console before a connector and a ledger that answer as tests say."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from common.http.app import make_app
from common.watchdog import Watchdog
from common.watched_file import WatchedFile
from console.app import add_pages
from console.links import load_secrets
from console.live import Relay
from console.parts import Parts
from console.rendering import Renderer
from console.sessions import Sessions
from console.upstream import Upstream

from tests.console.support.browsing import SECRET, Customer, FakeService, RememberedLinks
from tests.support.fakes import no_lifespan


@pytest.fixture
def services() -> FakeService:
    """Connector and ledger."""
    return FakeService()


@pytest.fixture
def customer(services: FakeService, tmp_path: Path) -> Customer:
    """Somebody with a browser, without a session."""
    file = tmp_path / "links"
    file.touch(mode=0o600)
    file.write_text(SECRET)
    secrets = WatchedFile(file, load_secrets)
    sessions = Sessions(secrets.content, secure=False)
    upstream = Upstream(services.client())
    parts = Parts(
        upstream,
        upstream,
        Relay(services.client(), retry=0.01),
        sessions,
        RememberedLinks(),
        secrets,
        lambda: datetime.now(UTC),
    )
    app = make_app("console", Watchdog(), no_lifespan, _ready)
    add_pages(app, parts, Renderer())
    return Customer.of(app, sessions)


async def _ready() -> None:
    """Always."""
