"""The console before a connector and a ledger that answer as tests say."""

from pathlib import Path

import pytest

from tests.console.support.browsing import Customer, FakeService, open_console


@pytest.fixture
def services() -> FakeService:
    """Connector and ledger."""
    return FakeService()


@pytest.fixture
def customer(services: FakeService, tmp_path: Path) -> Customer:
    """Somebody with a browser, without a session."""
    return open_console(services.client(), services.client(), tmp_path)
