"""Operators replay a range of a topic with the services' own code, while everything goes on."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from common.database import Database, make_engine
from common.errors import TransientError
from common.kafka.client import make_broker
from common.kafka.dead_letters import DeadLetters
from common.kafka.publisher import Publisher
from common.replay import Asked, Quiet, Report, bound, replay
from common.settings import KafkaSettings
from common.watchdog import Watchdog
from contract.access import consumers_of
from contract.cloudevents import Event
from contract.topics import COSTS, INTEGRATIONS, TOPICS, Topic
from ledger.handlers import Handlers
from ledger.tally import Tally
from pydantic import SecretStr

from tests.support.system import SystemClient, Team


async def _command(world: SystemClient, *arguments: str, status: int = 0) -> Any:
    """As an operator runs it."""
    env = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": world.address.kafka, "DATABASE_URL": world.address.database_url}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "grafient", "replay", *arguments, "--json"),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == status, errors.decode()
    return json.loads(output) if not status else errors.decode()


async def _replay(world: SystemClient, topic: Topic, service: str = "ledger", **asked: Any) -> Report:
    """What the command makes the service's own entry point do, in this process."""
    settings = KafkaSettings(kafka_bootstrap_servers=world.address.kafka)
    course = import_module(f"{service}.operations.replay").course
    database = Database(make_engine(SecretStr(world.address.database_url), schema=service))
    async with make_broker(settings, "replay") as broker:
        await broker.connect()
        loud = Publisher(broker, service, Watchdog())
        quiet = Quiet(broker, service, Watchdog())
        made = course(database, quiet, DeadLetters(loud, service))
        try:
            return await replay(made, settings, Asked(topic, **asked))
        finally:
            await database.close()


async def _connected(world: SystemClient) -> tuple[Team, str]:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.consumed(f"ledger.{COSTS.name}", COSTS.name)
    return team, integration_id


async def test_what_the_ledger_has_is_replayed_twice_without_a_change(world: SystemClient) -> None:
    _, integration_id = await _connected(world)
    rows = (
        "SELECT * FROM ledger.days WHERE integration_id = %s AND day < current_date - 10 ORDER BY day",
        integration_id,
    )
    before = await world.rows(*rows)

    first, second = [(await _command(world, COSTS.name, "--integration", integration_id))[0] for _ in range(2)]

    assert await world.rows(*rows) == before
    for report in (first, second):
        assert report["counts"] | {"not_asked_for": 0} == {
            "not_asked_for": 0,
            "applied": 0,
            "older": report["by_type"]["CostRecorded"],
            "judged": report["by_type"]["WindowRead"],
            "erased": 0,
            "dead_lettered": 0,
        }
        assert sum(report["counts"].values()) == report["read"]
        assert report["read"] >= report["chosen"] > 0
        assert {"days", "usd", "checksum"} <= report["after"].keys()
    outcomes = [one for one in await world.records("xai.sync-outcomes.v1") if one.key == integration_id.encode()]
    said = [dict(record.headers)["ce_id"] for record in outcomes]
    assert len(said) == len(set(said))


async def test_what_the_ledger_lost_comes_back_for_one_integration_only(world: SystemClient) -> None:
    (team, lost), (_, other) = await _connected(world), await _connected(world)
    before = (await _replay(world, COSTS)).after  # with what other tests took away
    both = "DELETE FROM ledger.days WHERE integration_id = ANY(%s::uuid[]) RETURNING 1"
    assert len(await world.rows(both, [lost, other])) > 30

    report = await _replay(world, COSTS, integration_id=lost)
    held = await world.rows("SELECT 1 FROM ledger.days WHERE account_id = %s", team.account_id)
    assert report.counts["applied"] == len(held) > 0
    assert await world.rows("SELECT 1 FROM ledger.days WHERE integration_id = %s", other) == []

    assert (await _replay(world, COSTS)).after == before


async def test_the_report_says_of_every_record_what_became_of_it(world: SystemClient) -> None:
    team, gone = await _connected(world)
    await world.request("DELETE", f"/accounts/{team.account_id}/integrations/{gone}?history=erase")
    await world.consumed(f"ledger.{INTEGRATIONS.name}", INTEGRATIONS.name)
    await world.publish(COSTS.name, gone, b"{not json", {"ce_type": b"CostRecorded"})

    whole, alone = await _replay(world, COSTS), await _replay(world, COSTS, integration_id=gone)

    for report in (whole, alone):
        assert sum(report.counts.values()) == report.read
        (row,) = [one for one in report.erased if one["integration_id"] == gone]
        assert (row["cost_recorded"], row["window_read"]) == (
            alone.by_type["CostRecorded"],
            alone.by_type["WindowRead"],
        )
        assert date.fromisoformat(row["last_day"]) - date.fromisoformat(row["first_day"]) == timedelta(days=29)
    assert alone.counts["erased"] == row["cost_recorded"] + row["window_read"]
    assert alone.counts["dead_lettered"] == alone.malformed == 1
    assert alone.erased == [row]


async def test_what_had_to_be_handled_again_is_counted_once(
    world: SystemClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, integration_id = await _connected(world)
    handle_batch, failed = Handlers.handle_batch, asyncio.Event()

    async def fail_once(handlers: Handlers, events: Sequence[Event[Any]]) -> Tally:
        done = await handle_batch(handlers, events)
        if not failed.is_set():
            failed.set()
            raise TransientError("the broker went away when all was written")
        return done

    monkeypatch.setattr(Handlers, "handle_batch", fail_once)
    report = await _replay(world, COSTS, integration_id=integration_id)

    assert failed.is_set()
    assert sum(report.counts.values()) == report.read


async def test_a_dry_run_counts_and_changes_nothing(world: SystemClient) -> None:
    team, integration_id = await _connected(world)
    await world.rows("DELETE FROM ledger.days WHERE integration_id = %s RETURNING 1", integration_id)

    report = await _replay(world, COSTS, account_id=team.account_id, dry_run=True)

    assert (report.by_type["CostRecorded"] >= 30, report.before) == (True, report.after)
    await _replay(world, COSTS, account_id=team.account_id)


async def test_a_range_of_offsets_is_read_exactly(world: SystemClient) -> None:
    _, integration_id = await _connected(world)
    record = next(one for one in await world.records(COSTS.name) if one.key == integration_id.encode())
    since, until = {record.partition: record.offset}, {record.partition: record.offset + 2}

    assert (await _replay(world, COSTS, since=since, until=until, dry_run=True)).read == 2
    assert (await _replay(world, COSTS, since=datetime(2999, 1, 1, tzinfo=UTC), dry_run=True)).read == 0


async def test_every_topic_can_be_replayed_and_asks_xai_nothing(world: SystemClient) -> None:
    team, integration_id = await _connected(world)
    await world.force(team, integration_id)
    calls, card = len(await world.calls(team)), await world.card(team, integration_id)

    for topic in TOPICS:
        for service in consumers_of(topic):
            report = await _replay(world, topic, service, integration_id=integration_id)
            assert (report.malformed, sum(report.counts.values())) == (0, report.read)

    assert await world.card(team, integration_id) == card
    assert (await world.force(team, integration_id))["reconciled"]
    assert len(await world.calls(team)) == calls + 1


async def test_a_topic_that_nobody_handles_is_named(world: SystemClient) -> None:
    assert "no service handles it" in await _command(world, "xai.dead-letters.v1", status=2)


async def test_a_broker_that_is_away_is_said_in_a_sentence(world: SystemClient) -> None:
    env = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "DATABASE_URL": world.address.database_url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *("-m", "grafient", "replay", COSTS.name), env=env, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()

    assert process.returncode == 1
    assert b"does not answer" in errors
    assert b"Traceback" not in errors


@pytest.mark.parametrize("texts", [["24"], ["3:"], ["yesterday"], ["2026-13-01"]])
def test_a_bound_that_cannot_be_read_is_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"isoformat|month"):
        bound(texts)


def test_offsets_name_their_partitions() -> None:
    assert bound(["3:1042", "0:7"]) == {3: 1042, 0: 7}
    assert bound([]) is None
