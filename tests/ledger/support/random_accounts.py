"""Accounts with any integrations and costs, for properties that hold of all of them."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from contract.money import plain
from hypothesis import strategies as st

from tests.ledger.support.ledger import NOON, REMOVED, LedgerHarness, later

TODAY = NOON.date()
AMOUNTS = st.integers(-(10**6), 10**13).map(lambda ticks: plain(ticks * Decimal("1E-10")))
LABELS = st.sampled_from(["API grok-4", "Chat grok-4", "=1+2", 'a "b", c', "(no label)", "\N{ROCKET}\n2"])
ACCOUNTS = st.lists(
    st.tuples(
        st.sampled_from([{}, {}, REMOVED, REMOVED | {"removed_at": later(-48)}, {"status_code": "already_connected"}]),
        st.integers(0, 40),
        st.dictionaries(st.integers(0, 40), st.dictionaries(LABELS, AMOUNTS, max_size=4), max_size=20),
        st.integers(-60, 0),
    ),
    max_size=4,
)
"""Of each integration: changes of its state, days of history, costs by days ago and label, hours of the reading."""


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


async def add(ledger: LedgerHarness, *, first: int = 90, **changes: Any) -> UUID:
    """A new integration that is expected to have `first` days before today."""
    team = uuid4()
    await ledger.add(team, history_from=ago(first), **changes)
    return team


async def fill(ledger: LedgerHarness, account: Any) -> None:
    """The account, and nothing else."""
    await ledger.clear()
    for changes, first, costs, hours in account:
        team = await add(ledger, first=first, **changes)
        if costs:
            by_day = {ago(number): labels for number, labels in costs.items()}
            await ledger.record(team, by_day, observed_at=later(hours))
