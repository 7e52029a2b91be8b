"""Every test of a connection is a call of xAI: an account has so many a minute, however it asks for them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.connector.support.connector import ACCOUNT, KEY, TEAM, World


@pytest.fixture
async def world(owned: Any) -> AsyncIterator[World]:
    """An account has three."""
    world = World(owned.service, owned.owner, tests_per_minute=3)
    await world.sql("TRUNCATE accounts, integrations, syncs, account_events")
    async with world.http:
        yield world


async def test_tests_additions_and_new_keys_count_together(world: World) -> None:
    card = await world.add()
    new_key = f"/integrations/{card['integration_id']}/credential"
    asked = {"team_id": TEAM, "management_key": KEY}
    statuses = [
        (await world.http.post("/integrations/test", json=asked)).status_code,
        (await world.http.put(new_key, json={"management_key": KEY})).status_code,
    ]
    calls = len(world.asked)

    refused = [
        await world.http.post("/integrations/test", json=asked),
        await world.http.post("/integrations", json=asked | {"team_id": "another", "plan": "free"}),
        await world.http.put(new_key, json={"management_key": KEY}),
    ]

    assert statuses == [200, 200]
    assert {(one.status_code, one.json()["code"]) for one in refused} == {(429, "too_many_requests")}
    assert all(0 < int(one.headers["retry-after"]) <= 20 for one in refused)
    assert len(world.asked) == calls
    assert (await world.http.get("/integrations")).status_code == 200


async def test_another_account_has_its_own(world: World) -> None:
    asked = {"team_id": TEAM, "management_key": KEY}
    other = str(world.http.base_url).replace(ACCOUNT, "another")
    statuses = [(await world.http.post("/integrations/test", json=asked)).status_code for _ in range(4)]

    assert statuses == [200, 200, 200, 429]
    assert (await world.http.post(f"{other}integrations/test", json=asked)).status_code == 200


async def test_a_stranger_cannot_use_up_the_tests_of_an_account(world: World) -> None:
    asked = {"team_id": TEAM, "management_key": KEY}
    for _ in range(5):
        await world.http.post("/integrations/test", json=asked, headers={"Authorization": "Bearer wrong"})

    assert (await world.http.post("/integrations/test", json=asked)).status_code == 200
