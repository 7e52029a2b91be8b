"""What happens to an account's integrations is written down once, in the order of the commits, and erased with them."""

import asyncio
import json
import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from connector import store
from connector.events import event_log
from connector.integrations import Life
from contract.problems import Code, ProblemError

from tests.connector.support.connector import ACCOUNT, World
from tests.connector.support.streams import EVENTS, Process, lived, numbers


async def test_an_event_says_what_the_card_says(world: World, process: Process) -> None:
    card = await world.add()
    await world.completed(card, last_day=date.fromisoformat(card["backfill"]["first_day"]))
    await world.failed(card, Code.KEY_REFUSED, hours=1)
    reader = process.read(0)

    told = [one.data for one in await reader.until(5) if one.kind == "integration"]

    shown = await world.card(card["integration_id"])
    assert told[-1] == {name: shown[name] for name in told[-1]}
    assert [one["status_text"] for one in told] == [
        "Filling in the history: 0 of 30 days",
        "Filling in the history: 1 of 30 days",
        shown["status_text"],
    ]
    assert told[-1]["status_detail"].startswith("It is not a Management API key")


async def test_every_line_of_the_history_is_told_as_it_stands_there(world: World, process: Process) -> None:
    card = await lived(world)
    reader = process.read(0)

    lines = [one.data for one in await reader.until(8) if one.kind == "sync"]

    answer = await world.http.get(f"/integrations/{card['integration_id']}/syncs")
    shown = [{"integration_id": card["integration_id"]} | line for line in answer.json()["syncs"]]
    assert sorted(lines, key=json.dumps) == sorted(shown, key=json.dumps)
    assert [line["code"] for line in lines] == [None, None, "key_refused"]


async def test_everything_that_can_happen_to_an_integration_is_told(world: World, process: Process) -> None:
    reader = process.read(0)
    card = await world.add()
    path = f"/integrations/{card['integration_id']}"
    told = await reader.next()
    for method, where, body in (
        ("PATCH", path, {"label": "Research"}),
        ("PUT", f"{path}/credential", {"management_key": "another-obviously-fake-key"}),
        ("PUT", "/plan", {"plan": "pro"}),
        ("DELETE", f"{path}?history=keep", None),
        ("DELETE", f"{path}?history=erase", None),
    ):
        answer = await world.http.request(method, where, json=body)
        assert answer.is_success, answer.text
        told += await reader.next()

    fields = ("label", "credential_version", "plan", "status", "history")
    assert [tuple(one.data[name] for name in fields) for one in told] == [
        (card["label"], 1, "free", "backfilling", None),
        ("Research", 1, "free", "backfilling", None),
        ("Research", 2, "free", "backfilling", None),
        ("Research", 2, "pro", "backfilling", None),
        ("Research", 2, "pro", "removed", "keep"),
        ("Research", 2, "pro", "removed", "erase"),
    ]
    assert numbers(told) == [1, 2, 3, 4, 5, 6]


async def test_a_larger_plan_is_told_of_every_integration(world: World, process: Process) -> None:
    cards = [await world.add(team_id=f"team-{number}") for number in range(3)]
    reader = process.read(3)

    await world.http.put("/plan", json={"plan": "pro"})

    told = await reader.next(3)
    assert [(one.data["integration_id"], one.data["plan"]) for one in told] == [
        (card["integration_id"], "pro") for card in cards
    ]


async def test_what_changes_nothing_is_not_told(world: World) -> None:
    card = await world.add()
    await world.completed(card)
    before = await world.sql("SELECT count(*) FROM account_events")

    await world.http.patch(f"/integrations/{card['integration_id']}", json={"label": card["label"]})
    await world.http.put("/plan", json={"plan": "free"})

    assert await world.sql("SELECT count(*) FROM account_events") == before == [(4 - 1,)]


async def test_an_outcome_that_comes_twice_is_told_once(world: World) -> None:
    card = await world.add()
    first_half = date.fromisoformat(card["backfill"]["first_day"]) + timedelta(days=14)
    completed: dict[str, Any] = {"last_day": first_half, "reading_id": uuid4()}

    await world.completed(card, **completed)
    before = await world.sql("SELECT kind FROM account_events ORDER BY number")
    await world.completed(card, **completed)

    assert await world.sql("SELECT kind FROM account_events ORDER BY number") == before
    assert before == [("integration",), ("sync",), ("integration",)]


async def test_a_change_that_was_rolled_back_was_never_told(world: World) -> None:
    card = await world.add()

    life = Life(world.database, None, None, lambda: None)  # type: ignore[arg-type]  # a new name needs no key

    async def fails(_connection: object, _integration_id: object) -> None:
        raise ProblemError(Code.INTERNAL)

    with pytest.raises(ProblemError):
        await life.rename(ACCOUNT, UUID(card["integration_id"]), "Research", fails)
    await world.http.patch(f"/integrations/{card['integration_id']}", json={"label": "Sales"})

    rows = await world.sql("SELECT number, body->>'label' FROM account_events ORDER BY number")
    assert rows == [(1, card["label"]), (2, "Sales")]


async def test_what_is_put_away_leaves_no_gap_behind_a_clock_that_was_set_back(world: World) -> None:
    await lived(world)
    await world.sql("UPDATE account_events SET at = at - interval '8 days' WHERE number IN (1, 3)")

    async with world.database.transaction() as connection:
        await event_log.put_away(connection)

    assert await world.sql("SELECT min(number), count(*) FROM account_events") == [(4, EVENTS - 3)]


async def test_erasing_takes_the_events_with_their_sums(world: World, process: Process) -> None:
    erased, other = await world.add(), await world.add(team_id="another")
    await world.completed(erased, usd=Decimal("987.654321"))
    await world.completed(other, usd=Decimal("12.5"))
    sums = "SELECT body->>'usd' FROM account_events WHERE kind = 'sync' ORDER BY number"
    assert await world.sql(sums) == [("987.654321",), ("12.5",)]

    await world.http.delete(f"/integrations/{erased['integration_id']}?history=erase")

    assert await world.sql(sums) == [("12.5",)]
    (last,) = await world.sql("SELECT max(number) FROM account_events")
    told = await process.read(1).until(last[0])
    assert [one.data["status"] for one in told if one.data.get("integration_id") == erased["integration_id"]] == [
        "removed"
    ]


async def test_how_things_stand_is_of_one_instant(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    card = await world.add()
    load_all = store.load_all

    async def meanwhile(*about: Any, **options: Any) -> Any:
        await world.http.patch(f"/integrations/{card['integration_id']}", json={"label": "Research"})
        return await load_all(*about, **options)

    monkeypatch.setattr(store, "load_all", meanwhile)
    async with world.database.transaction() as connection:
        present = await event_log.present(connection, ACCOUNT)

    assert present.number == 1
    assert [json.loads(body)["label"] for body in present.integrations] == [card["label"]]


@pytest.mark.parametrize("seed", range(3))
async def test_many_writers_at_once_leave_one_order_without_a_gap(world: World, process: Process, seed: int) -> None:
    cards = [await world.add(team_id=f"team-{number}") for number in range(4)]
    second = Process(world.database)
    draw = random.Random(seed)
    wishes = [_wish(world, draw.choice(cards), draw, number) for number in range(60)]
    async with second.listening():
        readers = [one.read(4) for one in (process, second) for _ in range(2)]

        await asyncio.gather(*wishes)

        ((last,),) = await world.sql("SELECT last_event FROM accounts")
        heard = [await reader.until(last) for reader in readers]
        await second.close()
    assert numbers(heard[0]) == list(range(5, last + 1))
    assert all(one == heard[0] for one in heard[1:])
    for card in cards:
        of_card = [one.data for one in heard[0] if one.data["integration_id"] == card["integration_id"]]
        versions = [one["version"] for one in of_card if "version" in one]
        assert versions == sorted(versions)
        shown = await world.card(card["integration_id"])
        newest = next(one for one in reversed(of_card) if "version" in one)
        assert newest == {name: shown[name] for name in newest}


async def _wish(world: World, card: dict[str, Any], draw: random.Random, number: int) -> None:
    """Something that happens to the account or one of its integrations, at the same time as everything else."""
    path = f"/integrations/{card['integration_id']}"
    match draw.randrange(5):
        case 0:
            answer = await world.http.patch(path, json={"label": f"Label {number}"})
        case 1:
            answer = await world.http.put(f"{path}/credential", json={"management_key": f"fake-key-{number}"})
        case 2:
            answer = await world.http.put("/plan", json={"plan": draw.choice(["free", "pro", "ultimate"])})
        case 3:
            await world.failed(card, Code.XAI_UNAVAILABLE, hours=number)
            return
        case _:
            day = date.fromisoformat(card["backfill"]["first_day"]) + timedelta(days=number % 30)
            await world.completed(card, hours=number, first_day=day, last_day=day)
            return
    assert answer.status_code == 200, answer.text


async def test_adding_and_removing_wait_for_outcomes_and_never_for_each_other(world: World) -> None:
    cards = [await world.add(team_id=f"team-{number}") for number in range(3)]

    async def outcomes(card: dict[str, Any]) -> None:
        for number in range(15):
            await world.completed(card, hours=number)

    async def comings_and_goings(number: int) -> None:
        for plan in ("pro", "free") * 3:
            added = await world.add(team_id=f"guest-{number}", plan=plan)
            answer = await world.http.delete(f"/integrations/{added['integration_id']}?history=keep")
            assert answer.status_code == 204

    await asyncio.gather(*map(outcomes, cards), *map(comings_and_goings, range(3)))

    ((last, count),) = await world.sql("SELECT last_event, (SELECT count(*) FROM account_events) FROM accounts")
    assert last == count
