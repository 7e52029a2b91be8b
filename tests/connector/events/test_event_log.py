"""What happens to an account's integrations is recorded once, in the order of the commits, and erased with them."""

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
from connector.integrations import Integrations
from contract.problems import Code, ProblemError

from tests.connector.support.connector import ConnectorHarness, first_day, path_of, team_of
from tests.connector.support.streams import StreamsHarness, make_history, numbers, rename
from tests.support.messages import ACCOUNT

ANOTHER_KEY = {"management_key": "another-obviously-fake-key"}
COUNT = "SELECT count(*) FROM account_events"


async def test_an_event_has_the_fields_of_the_card(connector: ConnectorHarness, streams: StreamsHarness) -> None:
    card = await connector.add()
    await connector.completed(card, last_day=first_day(card))
    await connector.failed(card, Code.KEY_REFUSED, hours=1)

    states = [one.data for one in await streams.read(0).until(5) if one.kind == "integration"]

    shown = await connector.card(card)
    assert states[-1] == {name: shown[name] for name in states[-1]}
    assert [one["status_text"] for one in states] == [
        "Filling in the history: 0 of 30 days",
        "Filling in the history: 1 of 30 days",
        shown["status_text"],
    ]
    assert states[-1]["status_detail"].startswith("It was mistyped, has expired or was revoked")


async def test_every_line_of_the_history_is_an_event(connector: ConnectorHarness, streams: StreamsHarness) -> None:
    card = await make_history(connector)

    lines = [one.data for one in await streams.read(0).until(8) if one.kind == "sync"]

    listed = (await connector.call("GET", path_of(card, "/syncs")))["syncs"]
    shown = [{"integration_id": card["integration_id"]} | line for line in listed]
    assert sorted(lines, key=json.dumps) == sorted(shown, key=json.dumps)
    assert [line["code"] for line in lines] == [None, None, "key_refused"]


async def test_every_change_of_an_integration_is_an_event(connector: ConnectorHarness, streams: StreamsHarness) -> None:
    reader = streams.read(0)
    card = await connector.add()
    events = await reader.next()
    for method, path, body, status in (
        ("PATCH", path_of(card), {"label": "Research"}, 200),
        ("PUT", path_of(card, "/credential"), ANOTHER_KEY, 200),
        ("PUT", "/plan", {"plan": "pro"}, 200),
        ("DELETE", path_of(card, "?history=keep"), None, 204),
        ("DELETE", path_of(card, "?history=erase"), None, 204),
    ):
        await connector.call(method, path, body, status=status)
        events += await reader.next()

    fields = ("label", "credential_version", "plan", "status", "history")
    assert [tuple(one.data[name] for name in fields) for one in events] == [
        (card["label"], 1, "free", "backfilling", None),
        ("Research", 1, "free", "backfilling", None),
        ("Research", 2, "free", "backfilling", None),
        ("Research", 2, "pro", "backfilling", None),
        ("Research", 2, "pro", "removed", "keep"),
        ("Research", 2, "pro", "removed", "erase"),
    ]
    assert numbers(events) == [1, 2, 3, 4, 5, 6]


async def test_a_larger_plan_is_an_event_of_every_integration(
    connector: ConnectorHarness, streams: StreamsHarness
) -> None:
    cards = [await connector.add(team_id=team_of(f"team-{number}")) for number in range(3)]
    reader = streams.read(3)

    await connector.call("PUT", "/plan", {"plan": "pro"})

    events = await reader.next(3)
    expected = [(card["integration_id"], "pro") for card in cards]
    assert [(one.data["integration_id"], one.data["plan"]) for one in events] == expected


async def test_what_changes_nothing_is_no_event(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    before = await connector.sql(COUNT)

    await rename(connector, card, card["label"])
    await connector.call("PUT", "/plan", {"plan": "free"})

    assert await connector.sql(COUNT) == before == [(4 - 1,)]


async def test_an_outcome_that_arrives_twice_is_recorded_once(connector: ConnectorHarness) -> None:
    card = await connector.add()
    half = first_day(card) + timedelta(days=14)
    completed: dict[str, Any] = {"last_day": half, "reading_id": uuid4()}

    await connector.completed(card, **completed)
    before = await connector.sql("SELECT kind FROM account_events ORDER BY number")
    await connector.completed(card, **completed)

    assert await connector.sql("SELECT kind FROM account_events ORDER BY number") == before
    assert before == [("integration",), ("sync",), ("integration",)]


async def test_a_change_that_was_rolled_back_is_no_event(connector: ConnectorHarness) -> None:
    card = await connector.add()
    integrations = Integrations(connector.database, None, None, lambda: None)  # type: ignore[arg-type]  # a new name needs no key

    async def fails(_connection: object, _integration_id: object) -> None:
        raise ProblemError(Code.INTERNAL)

    with pytest.raises(ProblemError):
        await integrations.rename(ACCOUNT, UUID(card["integration_id"]), "Research", fails)
    await rename(connector, card, "Sales")

    rows = await connector.sql("SELECT number, body->>'label' FROM account_events ORDER BY number")
    assert rows == [(1, card["label"]), (2, "Sales")]


async def test_erasing_an_integration_deletes_its_events_with_their_sums(
    connector: ConnectorHarness, streams: StreamsHarness
) -> None:
    erased, other = await connector.add(), await connector.add(team_id=team_of("another"))
    await connector.completed(erased, usd=Decimal("987.654321"))
    await connector.completed(other, usd=Decimal("12.5"))
    sums = "SELECT body->>'usd' FROM account_events WHERE kind = 'sync' ORDER BY number"
    assert await connector.sql(sums) == [("987.654321",), ("12.5",)]

    await connector.remove(erased, "erase")

    assert await connector.sql(sums) == [("12.5",)]
    ((last,),) = await connector.sql("SELECT max(number) FROM account_events")
    states = [one.data for one in await streams.read(1).until(last)]
    of_erased = [one["status"] for one in states if one.get("integration_id") == erased["integration_id"]]
    assert of_erased == ["removed"]


async def test_a_snapshot_is_of_one_instant(connector: ConnectorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    card = await connector.add()
    load_all = store.load_all

    async def meanwhile(*args: Any, **options: Any) -> Any:
        await rename(connector, card)
        return await load_all(*args, **options)

    monkeypatch.setattr(store, "load_all", meanwhile)
    async with connector.database.transaction() as connection:
        snapshot = await event_log.snapshot(connection, ACCOUNT)

    assert snapshot.number == 1
    assert [json.loads(body)["label"] for body in snapshot.integrations] == [card["label"]]


@pytest.mark.parametrize("seed", range(3))
async def test_many_writers_at_once_leave_one_order_without_a_gap(
    connector: ConnectorHarness, streams: StreamsHarness, seed: int
) -> None:
    cards = [await connector.add(team_id=team_of(f"team-{number}")) for number in range(4)]
    draw = random.Random(seed)
    changes = [_change(connector, draw.choice(cards), draw, number) for number in range(60)]
    async with StreamsHarness(connector.database).open() as second:
        readers = [one.read(4) for one in (streams, second) for _ in range(2)]

        await asyncio.gather(*changes)

        ((last,),) = await connector.sql("SELECT last_event FROM accounts")
        streamed = [await reader.until(last) for reader in readers]
    assert numbers(streamed[0]) == list(range(5, last + 1))
    assert all(one == streamed[0] for one in streamed[1:])
    for card in cards:
        of_card = [one.data for one in streamed[0] if one.data["integration_id"] == card["integration_id"]]
        states = [one for one in of_card if "version" in one]
        versions = [one["version"] for one in states]
        assert versions == sorted(versions)
        shown = await connector.card(card)
        assert states[-1] == {name: shown[name] for name in states[-1]}


async def _change(connector: ConnectorHarness, card: dict[str, Any], draw: random.Random, number: int) -> None:
    """Any change of the account or one of its integrations."""
    match draw.randrange(5):
        case 0:
            await rename(connector, card, f"Label {number}")
        case 1:
            await connector.call("PUT", path_of(card, "/credential"), {"management_key": f"fake-key-{number}"})
        case 2:
            await connector.call("PUT", "/plan", {"plan": draw.choice(["free", "pro", "ultimate"])})
        case 3:
            await connector.failed(card, Code.XAI_UNAVAILABLE, hours=number)
        case _:
            day: date = first_day(card) + timedelta(days=number % 30)
            await connector.completed(card, hours=number, first_day=day, last_day=day)
