"""What the connector announces: every change, at least once, and the newest state last."""

from typing import Any

import pytest
from common.crypto.envelopes import Binding
from common.direct_connections import Driver
from common.errors import TransientError
from common.watchdog import Watchdog
from connector.outbox import rows
from contract.tracing import tracing

from tests.connector.support.connector import KEY, NEW_WRAP, ConnectorHarness, path_of, team_of
from tests.connector.support.streams import rename
from tests.support.messages import ACCOUNT, OTHER_PARENT, PARENT

KEYS, STATES = "xai.credentials.v1", "xai.integrations.v1"
NOTHING_MARKED = (
    "UPDATE integrations SET announced_version = 0, announced_credential_version = 0, announced_wrap_version = 0"
)
A_DAY_LATER = "UPDATE integrations SET announced_at = announced_at - interval '25 hours'"
ANNOUNCED_AT = "SELECT announced_at FROM integrations"


@pytest.fixture
async def card(connector: ConnectorHarness) -> dict[str, Any]:
    """Of an integration that is announced."""
    card = await connector.add()
    await connector.relay.publish_due()
    return card


async def test_a_new_integration_is_announced_after_its_key(connector: ConnectorHarness, card: dict[str, Any]) -> None:
    key, state = connector.publisher.published
    assert (key.topic, state.topic) == (KEYS, STATES)
    assert state.type == "IntegrationAdded"
    assert state.event_id == f"{card['integration_id']}:1"
    assert connector.opener.open(key.message.envelope, Binding(ACCOUNT, key.message.integration_id, 1)) == KEY
    assert KEY not in f"{state.body!r} {key.body!r}"


@pytest.mark.usefixtures("card")
async def test_what_was_announced_is_not_announced_again(connector: ConnectorHarness) -> None:
    await connector.relay.publish_due()

    assert len(connector.publisher.published) == 2


@pytest.mark.parametrize(("batch", "expected"), [(2, [2, 1]), (3, [3, 0]), (4, [3])])
async def test_the_relay_looks_again_only_where_a_batch_was_full(
    connector: ConnectorHarness, monkeypatch: pytest.MonkeyPatch, batch: int, expected: list[int]
) -> None:
    monkeypatch.setattr(rows, "BATCH_SIZE", batch)
    find, found = rows.due, list[int]()

    async def counted(driver: Driver) -> list[rows.Due]:
        due = await find(driver)
        found.append(len(due))
        return due

    monkeypatch.setattr(rows, "due", counted)
    for number in range(3):
        await connector.add(team_id=team_of(f"team-{number}"))

    await connector.relay.publish_due()

    assert found == expected


async def test_every_announcement_is_progress(connector: ConnectorHarness) -> None:
    for number in range(3):
        await connector.add(team_id=team_of(f"team-{number}"))
    seconds = iter(range(100))

    await connector.make_relay(Watchdog(clock=lambda: next(seconds))).publish_due()

    assert next(seconds) == 3


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("due", [NOTHING_MARKED, A_DAY_LATER], ids=["after a crash before it is marked", "after a day"])
async def test_a_row_is_announced_again_as_the_same_events(connector: ConnectorHarness, due: str) -> None:
    await connector.sql(due)

    await connector.relay.publish_due()
    await connector.relay.publish_due()

    assert connector.publisher.published[:2] == connector.publisher.published[2:]


async def test_an_unavailable_broker_loses_nothing(connector: ConnectorHarness) -> None:
    await connector.add()
    connector.publisher.available(available=False)
    with pytest.raises(TransientError):
        await connector.relay.publish_due()
    connector.publisher.available()

    await connector.relay.publish_due()

    assert len(connector.publisher.of(STATES)) == 1


async def test_a_removal_is_announced_with_a_tombstone_for_its_key(
    connector: ConnectorHarness, card: dict[str, Any]
) -> None:
    await connector.remove(card, "erase")

    await connector.relay.publish_due()

    tombstone, state = connector.publisher.published[2:]
    assert (tombstone.body, tombstone.headers) == (None, {"credential_version": "1"})
    assert (state.type, state.message.history) == ("IntegrationRemoved", "erase")


async def test_a_change_of_state_neither_announces_the_key_again_nor_delays_its_daily_announcement(
    connector: ConnectorHarness, card: dict[str, Any]
) -> None:
    before = await connector.sql(ANNOUNCED_AT)

    await rename(connector, card)
    await connector.relay.publish_due()

    (state,) = connector.publisher.published[2:]
    assert (state.topic, state.message.version) == (STATES, 2)
    assert await connector.sql(ANNOUNCED_AT) == before


async def test_a_key_that_is_announced_again_after_changes_is_the_same_event(
    connector: ConnectorHarness, card: dict[str, Any]
) -> None:
    await rename(connector, card)
    await connector.relay.publish_due()
    await connector.sql(A_DAY_LATER)

    await connector.relay.publish_due()

    first, again = connector.publisher.of(KEYS)
    assert first == again


@pytest.mark.usefixtures("card")
async def test_a_key_with_a_new_wrap_is_announced_alone_at_its_own_instant(connector: ConnectorHarness) -> None:
    await connector.sql(NEW_WRAP)
    await connector.relay.publish_due()

    first, second = connector.publisher.of(KEYS)
    assert len(connector.publisher.published) == 3
    assert (second.message.credential_version, second.message.wrap_version) == (1, 2)
    assert first.at < second.at
    marked = await connector.sql("SELECT announced_credential_version, announced_wrap_version FROM integrations")
    assert marked == [(1, 2)]


async def test_an_announcement_carries_the_trace_of_the_change(connector: ConnectorHarness) -> None:
    connector.http.headers["traceparent"] = PARENT
    card = await connector.add()
    await connector.relay.publish_due()
    del connector.http.headers["traceparent"]
    await connector.call("PATCH", path_of(card), {"label": "New"})
    await connector.relay.publish_due()
    with tracing(OTHER_PARENT):
        await connector.completed(card)
    await connector.relay.publish_due()
    connector.http.headers["traceparent"] = PARENT
    await connector.remove(card)
    await connector.relay.publish_due()

    traces = [one.headers.get("traceparent") for one in connector.publisher.published]
    assert traces == [PARENT, PARENT, None, OTHER_PARENT, PARENT, PARENT], (
        "key and state, label, health, tombstone and state"
    )


async def test_a_sync_request_carries_the_trace_of_the_http_request(connector: ConnectorHarness) -> None:
    card = await connector.add()
    connector.http.headers["traceparent"] = PARENT

    await connector.call("POST", path_of(card, "/sync"), {}, status=202)

    assert connector.publisher.of("SyncRequested")[0].headers["traceparent"] == PARENT
