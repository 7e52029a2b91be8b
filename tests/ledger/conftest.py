"""The ledger's own tables on a real Postgres, empty for each test, used as the role that owns nothing."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from common import logs

from tests.ledger.support.ledger import LedgerHarness


@pytest.fixture(scope="session")
def owned(tables_of: Callable[[str], Any]) -> Any:
    logs.configure("ledger", "INFO")  # as in production: its tracebacks never have locals, and cost little
    return tables_of("ledger")


@pytest.fixture
async def ledger(owned: Any) -> LedgerHarness:
    ledger = LedgerHarness(owned.service, owned.owner)
    await ledger.clear()
    return ledger


@pytest.fixture
def team() -> UUID:
    return uuid4()
