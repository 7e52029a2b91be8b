"""Sealed keys move to another key-encryption key: by compare-and-set, repeatable after any crash, never opened."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from common.crypto.envelopes import Binding, Envelope, UnsealableError
from common.crypto.keyring import Keyring
from common.crypto.sealing import Opener, Rewrapper
from connector.operations import rewrap
from connector.operations.rewrap import Batch, Rewrapping
from sqlalchemy import text

from tests.connector.support.connector import KEY, ConnectorHarness, team_of
from tests.support.messages import ACCOUNT

NEXT = Keyring("next", {"test-1": bytes(32), "next": bytes(range(32))})
ONLY_NEXT = Opener(Keyring("next", {"next": bytes(range(32))}), "test")
LOCK = text("SELECT 1 FROM integrations WHERE team_id = :team FOR UPDATE")
KEY_IDS = "SELECT envelope ->> 'key_id', wrap_version FROM integrations ORDER BY integration_id"


@dataclass
class Watching:
    """A rewrapper that calls `before` first."""

    before: Callable[[Binding], None]

    def rewrap(self, envelope: Envelope, place: Binding) -> Envelope:
        self.before(place)
        return Rewrapper(NEXT, "test").rewrap(envelope, place)

    def check(self, envelope: Envelope, place: Binding) -> None: ...


def make(connector: ConnectorHarness, rewrapper: Any = None) -> Rewrapping:
    return Rewrapping(connector.database, rewrapper or Rewrapper(NEXT, "test"), "next")


async def add(connector: ConnectorHarness, count: int) -> list[UUID]:
    cards = [await connector.add(team_id=team_of(f"team-{number}")) for number in range(count)]
    await connector.relay.publish_due()
    return sorted(UUID(card["integration_id"]) for card in cards)


async def test_every_key_moves_in_batches_and_opens_under_the_new_key_alone(
    connector: ConnectorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await add(connector, 5)
    monkeypatch.setattr(rewrap, "BATCH_SIZE", 2)
    batches: list[Batch] = []

    done = await make(connector).all(batches.append)

    assert (done.moved, done.unsealable, [one.moved for one in batches]) == (5, (), [2, 2, 1])
    rows = await connector.sql("SELECT integration_id, credential_version, wrap_version, envelope FROM integrations")
    assert sorted(row.integration_id for row in rows) == ids
    for row in rows:
        assert (row.credential_version, row.wrap_version) == (1, 2)
        assert ONLY_NEXT.open(row.envelope, Binding(ACCOUNT, row.integration_id, 1)) == KEY


async def test_what_moved_is_announced_and_nothing_else(connector: ConnectorHarness) -> None:
    await add(connector, 2)
    before = len(connector.publisher.published)

    await make(connector).all()
    await connector.relay.publish_due()

    published = connector.publisher.published[before:]
    assert {one.topic for one in published} == {"xai.credentials.v1"}
    assert [(one.message.wrap_version, one.message.envelope["key_id"]) for one in published] == [(2, "next")] * 2


async def test_a_second_time_changes_nothing(connector: ConnectorHarness) -> None:
    await add(connector, 2)
    await make(connector).all()
    before = await connector.sql("SELECT * FROM integrations ORDER BY 1")

    assert await make(connector).all() == Batch(None)

    assert await connector.sql("SELECT * FROM integrations ORDER BY 1") == before


async def test_a_dry_run_changes_nothing_and_counts_what_would_move(connector: ConnectorHarness) -> None:
    await add(connector, 2)
    before = await connector.sql("SELECT * FROM integrations ORDER BY 1")

    assert (await make(connector).all(dry_run=True)).moved == 2

    assert await connector.sql("SELECT * FROM integrations ORDER BY 1") == before
    assert await make(connector).count() == 2


async def test_a_run_that_is_interrupted_leaves_whole_rows_and_can_be_repeated(connector: ConnectorHarness) -> None:
    ids = await add(connector, 3)

    def end(binding: Binding) -> None:
        if binding.integration_id == ids[1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await make(connector, Watching(end)).batch()
    assert await make(connector).count() == 3

    assert (await make(connector).all()).moved == 3


async def test_a_key_that_is_replaced_meanwhile_is_not_overwritten(connector: ConnectorHarness) -> None:
    (integration_id,) = await add(connector, 1)
    moved = make(connector)
    read = await moved._read(rewrap.FIRST)  # noqa: SLF001 - the moment between reading and writing
    await connector.call("PUT", f"/integrations/{integration_id}/credential", {"management_key": "another-fake-key"})

    movable, _ = moved._rewrapped(read)  # noqa: SLF001 - and it writes
    assert await moved._move(movable) == 0  # noqa: SLF001 - and it writes

    (kept,) = await connector.sql("SELECT credential_version, wrap_version, envelope FROM integrations")
    assert (kept.credential_version, kept.wrap_version) == (2, 1)
    assert kept.envelope["key_id"] == "test-1"
    assert (await make(connector).all()).moved == 1


async def test_a_removed_integration_stays_without_a_key(connector: ConnectorHarness) -> None:
    (integration_id,) = await add(connector, 1)
    moved = make(connector)
    read = await moved._read(rewrap.FIRST)  # noqa: SLF001 - the moment between reading and writing
    await connector.http.delete(f"/integrations/{integration_id}")

    assert await moved._move(moved._rewrapped(read)[0]) == 0  # noqa: SLF001 - and it writes

    assert await connector.sql("SELECT envelope FROM integrations") == [(None,)]
    assert await moved.all() == Batch(None)


async def test_a_locked_row_is_not_waited_for_and_moves_afterwards(connector: ConnectorHarness) -> None:
    await add(connector, 2)
    moved = make(connector)
    async with connector.database.transaction() as connection, asyncio.timeout(10):
        await connection.execute(LOCK, {"team": team_of("team-0")})
        batch = await moved.batch()
        assert (batch.moved, batch.left) == (1, 1)
        moving = asyncio.create_task(moved.all())
    assert (await asyncio.wait_for(moving, timeout=10)).moved == 1


async def test_what_does_not_unwrap_is_unchanged_and_delays_no_other(connector: ConnectorHarness) -> None:
    first, second = await add(connector, 2)
    (row,) = await connector.sql("SELECT envelope FROM integrations WHERE integration_id = :id", id=second)
    await connector.sql(
        "UPDATE integrations SET envelope = CAST(:other AS jsonb) WHERE integration_id = :id",
        id=first,
        other=json.dumps(row.envelope),
    )

    done = await make(connector).all()

    assert (done.moved, done.unsealable) == (1, (first,))
    assert await connector.sql(KEY_IDS) == [("test-1", 1), ("next", 2)]


async def test_two_at_once_move_each_key_once(connector: ConnectorHarness) -> None:
    await add(connector, 4)
    one, other = await asyncio.gather(make(connector).all(), make(connector).all())
    assert one.moved + other.moved == 4
    assert await connector.sql(KEY_IDS) == [("next", 2)] * 4


async def test_a_row_under_a_key_that_the_keyring_lacks_is_reported(connector: ConnectorHarness) -> None:
    (only,) = await add(connector, 1)
    lacking = Keyring("next", {"next": bytes(range(32))})
    done = await make(connector, Rewrapper(lacking, "test")).all()
    assert done.unsealable == (only,)
    with pytest.raises(UnsealableError):
        ONLY_NEXT.open(
            (await connector.sql("SELECT envelope FROM integrations"))[0].envelope, Binding(ACCOUNT, only, 1)
        )
