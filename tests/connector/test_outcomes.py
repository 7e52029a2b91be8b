"""Outcomes that arrive together have the effect that they have one after another."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import pytest
from contract.cloudevents import Event
from contract.fields import Trigger
from contract.problems import Code
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.connector.support.connector import ConnectorHarness, first_day, last_day, team_of
from tests.support import messages

OUTCOMES = (
    "SELECT event_id, trigger, covered::text, usd, questioned_days, code FROM syncs ORDER BY event_id, integration_id"
)
CODES = (Code.KEY_REFUSED, Code.XAI_UNAVAILABLE, Code.ANSWER_QUESTIONED, Code.OUT_OF_RANGE, Code.FRESH)
SHOWN = (
    "status",
    "status_code",
    "status_text",
    "history_from",
    "figures_since",
    "questioned_days",
    "backfill",
    "version",
)


def _outcome(card: dict[str, Any], number: int, chance: random.Random) -> Event[Any]:
    """Of a window of the backfill; one in three is a failure, some are older than the last, some come twice."""
    first = first_day(card) + timedelta(days=chance.randrange(30))
    last = first + timedelta(days=chance.randrange((last_day(card) - first).days + 1))
    fields: dict[str, Any] = {
        "first_day": first,
        "last_day": last,
        "trigger": chance.choice([Trigger.DAILY, Trigger.HEAL, Trigger.BACKFILL]),
        "observed_at": datetime.fromisoformat(card["added_at"]) + timedelta(hours=chance.randrange(1, 12)),
        "credential_version": chance.choice([1, 1, 2]),
    }
    if chance.random() < 1 / 3:
        code = chance.choice(CODES)
        if code is Code.FRESH:
            fields["observed_at"] = None
        message: Any = messages.sync_failed(card["integration_id"], code, final=chance.random() < 1 / 2, **fields)
    else:
        left_open = (last,) if chance.random() < 1 / 3 else ()
        fields |= {"unreconciled_days": left_open, "reconciled": not left_open, "usd": Decimal(number)}
        if chance.random() < 1 / 4:
            fields["questioned_days"] = (first,)
        if chance.random() < 1 / 8:
            fields["beyond_xai_until"] = first - timedelta(days=1)
        message = messages.sync_completed(card["integration_id"], **fields)
    event_id = uuid5(NAMESPACE_OID, f"{number - chance.choice([0, 0, 0, 1])}")
    return Event(message, str(event_id), datetime.now(UTC))


@pytest.mark.parametrize("at_once", [2, 7, 40])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_batch_leaves_what_its_outcomes_leave_one_after_another(
    connector: ConnectorHarness, at_once: int, seed: int
) -> None:
    chance = random.Random(seed)
    await connector.sql("TRUNCATE accounts, integrations, syncs, account_events")
    cards = [await connector.add(team_id=team_of(name)) for name in ("one", "other")]
    events = [_outcome(chance.choice(cards), number, chance) for number in range(40)]
    start = await connector.sql("SELECT to_jsonb(i)::text FROM integrations i")

    single = await _effect(connector, cards, events, 1)
    await connector.sql("TRUNCATE syncs, account_events")
    await connector.sql("DELETE FROM integrations")
    for (row,) in start:
        await connector.sql(
            "INSERT INTO integrations SELECT * FROM jsonb_populate_record(NULL::integrations, :row)", row=row
        )

    assert await _effect(connector, cards, events, at_once) == single


async def _effect(
    connector: ConnectorHarness, cards: Sequence[dict[str, Any]], events: Sequence[Event[Any]], at_once: int
) -> tuple[Any, ...]:
    """What is stored and shown, and the events of each integration, in their order."""
    for first in range(0, len(events), at_once):
        await connector.handlers.outcomes(events[first : first + at_once])
    shown = [await connector.card(card) for card in cards]
    bodies = await connector.sql("""SELECT integration_id, kind, body->>'status_text', body->>'usd', body->>'code'
        FROM account_events WHERE number > 2 ORDER BY integration_id, number""")
    return [{name: one[name] for name in SHOWN} for one in shown], await connector.sql(OUTCOMES), bodies


async def test_of_two_outcomes_of_one_instant_the_same_one_decides_in_whatever_order_they_came(
    connector: ConnectorHarness,
) -> None:
    shown = []
    for order in (1, -1):
        await connector.sql("TRUNCATE accounts, integrations, syncs, account_events")
        card = await connector.add()
        fields: dict[str, Any] = {
            "last_day": last_day(card),
            "observed_at": datetime.fromisoformat(card["added_at"]) + timedelta(hours=1),
        }
        questioned = messages.sync_completed(
            card["integration_id"], first_day=first_day(card), questioned_days=(last_day(card),), **fields
        )
        plain = messages.sync_completed(card["integration_id"], first_day=last_day(card), **fields)
        for name, message in [("a", plain), ("b", questioned)][::order]:
            await connector.handlers.outcomes([Event(message, name, fields["observed_at"])])
        last = await connector.card(card)
        shown.append((last["questioned_days"], last["last_sync"]["first_day"]))

    assert shown[0] == shown[1]


async def test_outcomes_of_many_accounts_have_one_transaction_and_each_its_own_numbers(
    connector: ConnectorHarness,
) -> None:
    cards = [await connector.add(team_id=team_of(number)) for number in range(3)]
    before = await connector.sql("SELECT last_event FROM accounts")
    at = datetime.fromisoformat(cards[0]["added_at"]) + timedelta(hours=1)
    fields: dict[str, Any] = {"first_day": first_day(cards[0]), "last_day": last_day(cards[0]), "observed_at": at}
    completed = [messages.sync_completed(card["integration_id"], **fields) for card in cards]
    foreign = messages.sync_completed(cards[0]["integration_id"], account_id="nobody", **fields)

    await connector.handlers.outcomes([Event(one, str(one.reading_id), at) for one in (*completed, foreign)])

    assert [(await connector.health(card))[0] for card in cards] == ["active"] * 3
    assert len(await connector.sql("SELECT 1 FROM syncs")) == 3
    assert await connector.sql("SELECT count(DISTINCT xmin::text) FROM syncs") == [(1,)]
    numbers = await connector.sql(
        "SELECT number, kind FROM account_events WHERE number > :last ORDER BY number", last=before[0][0]
    )
    assert numbers == [(before[0][0] + number, ("sync", "integration")[(number + 1) % 2]) for number in range(1, 7)]


async def test_a_card_is_shown_without_days_where_xai_refuses_the_whole_backfill(connector: ConnectorHarness) -> None:
    card = await connector.add()
    behind = last_day(card) + timedelta(days=10)

    await connector.completed(card, first_day=behind, last_day=behind, beyond_xai_until=behind - timedelta(days=1))

    shown = await connector.card(card)
    assert (shown["status"], shown["backfill"]["days_expected"], shown["backfill"]["days_read"]) == ("active", 0, 0)
