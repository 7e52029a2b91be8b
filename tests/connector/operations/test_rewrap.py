"""Moving sealed keys to another key-encryption key: by compare-and-set, begun again at any point, never opening one."""

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

from tests.connector.support.connector import ACCOUNT, KEY, World

NEXT = Keyring("next", {"test-1": bytes(32), "next": bytes(range(32))})
ONLY_NEXT = Opener(Keyring("next", {"next": bytes(range(32))}), "test")
LOCK = text("SELECT 1 FROM integrations WHERE team_id = :team FOR UPDATE")
KEY_IDS = "SELECT envelope ->> 'key_id', wrap_version FROM integrations ORDER BY integration_id"


@dataclass
class Watching:
    """A rewrapper that does something first."""

    before: Callable[[Binding], None]

    def rewrap(self, envelope: Envelope, place: Binding) -> Envelope:
        self.before(place)
        return Rewrapper(NEXT, "test").rewrap(envelope, place)

    def check(self, envelope: Envelope, place: Binding) -> None: ...


def make(world: World, rewrapper: Any = None) -> Rewrapping:
    return Rewrapping(world.database, rewrapper or Rewrapper(NEXT, "test"), "next")


async def add(world: World, count: int) -> list[UUID]:
    cards = [await world.add(team_id=f"team-{number}") for number in range(count)]
    await world.relay.round()
    return sorted(UUID(card["integration_id"]) for card in cards)


async def test_every_key_moves_in_batches_and_opens_under_the_new_key_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await add(world, 5)
    monkeypatch.setattr(rewrap, "_NEXT", text(str(rewrap._NEXT).replace("LIMIT 1000", "LIMIT 2")))  # noqa: SLF001 - smaller batches
    heard: list[Batch] = []

    done = await make(world).all(heard.append)

    assert (done.moved, done.unsealable, [one.moved for one in heard]) == (5, (), [2, 2, 1])
    rows = await world.sql("SELECT integration_id, credential_version, wrap_version, envelope FROM integrations")
    assert sorted(row.integration_id for row in rows) == ids
    for row in rows:
        assert (row.credential_version, row.wrap_version) == (1, 2)
        assert ONLY_NEXT.open(row.envelope, Binding(ACCOUNT, row.integration_id, 1)) == KEY


async def test_what_moved_is_announced_and_nothing_else(world: World) -> None:
    await add(world, 2)
    before = len(world.publisher.published)

    await make(world).all()
    await world.relay.round()

    told = world.publisher.published[before:]
    assert {one.topic for one in told} == {"xai.credentials.v1"}
    assert [(one.message.wrap_version, one.message.envelope["key_id"]) for one in told] == [(2, "next")] * 2


async def test_a_second_time_changes_nothing(world: World) -> None:
    await add(world, 2)
    await make(world).all()
    before = await world.sql("SELECT * FROM integrations ORDER BY 1")

    assert await make(world).all() == Batch(None)

    assert await world.sql("SELECT * FROM integrations ORDER BY 1") == before


async def test_a_dry_run_changes_nothing_and_says_what_would(world: World) -> None:
    await add(world, 2)
    before = await world.sql("SELECT * FROM integrations ORDER BY 1")

    assert (await make(world).all(dry_run=True)).moved == 2

    assert await world.sql("SELECT * FROM integrations ORDER BY 1") == before
    assert await make(world).count() == 2


async def test_one_that_is_ended_in_the_middle_leaves_whole_rows_and_is_begun_again(world: World) -> None:
    ids = await add(world, 3)

    def end(place: Binding) -> None:
        if place.integration_id == ids[1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await make(world, Watching(end)).batch()
    assert await make(world).count() == 3

    assert (await make(world).all()).moved == 3


async def test_a_key_that_is_replaced_meanwhile_is_not_overwritten(world: World) -> None:
    (integration_id,) = await add(world, 1)
    moved = make(world)
    read = await moved._read(rewrap.BEFORE_ALL)  # noqa: SLF001 - the moment between reading and writing
    path = f"/integrations/{integration_id}/credential"
    assert (await world.http.put(path, json={"management_key": "another-fake-key"})).status_code == 200

    fit, _ = moved._rewrapped(read)  # noqa: SLF001 - and it writes
    assert await moved._move(fit) == 0  # noqa: SLF001 - and it writes

    (kept,) = await world.sql("SELECT credential_version, wrap_version, envelope FROM integrations")
    assert (kept.credential_version, kept.wrap_version) == (2, 1)
    assert kept.envelope["key_id"] == "test-1"
    assert (await make(world).all()).moved == 1


async def test_a_removed_integration_stays_without_a_key(world: World) -> None:
    (integration_id,) = await add(world, 1)
    moved = make(world)
    read = await moved._read(rewrap.BEFORE_ALL)  # noqa: SLF001 - the moment between reading and writing
    await world.http.delete(f"/integrations/{integration_id}")

    assert await moved._move(moved._rewrapped(read)[0]) == 0  # noqa: SLF001 - and it writes

    assert await world.sql("SELECT envelope FROM integrations") == [(None,)]
    assert await moved.all() == Batch(None)


async def test_a_row_that_somebody_changes_is_not_waited_for_and_moves_afterwards(world: World) -> None:
    await add(world, 2)
    moved = make(world)
    async with world.database.transaction() as connection, asyncio.timeout(10):
        await connection.execute(LOCK, {"team": "team-0"})
        batch = await moved.batch()
        assert (batch.moved, batch.left) == (1, 1)
        moving = asyncio.create_task(moved.all())
    assert (await asyncio.wait_for(moving, timeout=10)).moved == 1


async def test_what_does_not_unwrap_stays_as_it_is_and_holds_up_no_other(world: World) -> None:
    first, second = await add(world, 2)
    (row,) = await world.sql("SELECT envelope FROM integrations WHERE integration_id = :id", id=second)
    await world.sql(
        "UPDATE integrations SET envelope = CAST(:other AS jsonb) WHERE integration_id = :id",
        id=first,
        other=json.dumps(row.envelope),
    )

    done = await make(world).all()

    assert (done.moved, done.unsealable) == (1, (first,))
    assert await world.sql(KEY_IDS) == [("test-1", 1), ("next", 2)]


async def test_two_at_once_move_each_key_once(world: World) -> None:
    await add(world, 4)
    one, other = await asyncio.gather(make(world).all(), make(world).all())
    assert one.moved + other.moved == 4
    assert await world.sql(KEY_IDS) == [("next", 2)] * 4


async def test_a_key_that_the_keyring_lacks_is_told(world: World) -> None:
    (only,) = await add(world, 1)
    lacking = Keyring("next", {"next": bytes(range(32))})
    done = await make(world, Rewrapper(lacking, "test")).all()
    assert done.unsealable == (only,)
    with pytest.raises(UnsealableError):
        ONLY_NEXT.open((await world.sql("SELECT envelope FROM integrations"))[0].envelope, Binding(ACCOUNT, only, 1))
