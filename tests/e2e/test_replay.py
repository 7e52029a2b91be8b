"""Operators replay a range of a topic with the services' own code, while live traffic continues."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from common.errors import TransientError
from common.replay import ReplayReport, ReplayRequest, ReplaySettings, run_replay
from contract.access import consumers_of
from contract.cloudevents import Event
from contract.topics import COSTS, INTEGRATIONS, SYNC_OUTCOMES, TOPICS, Topic
from grafient.replay import FACTORIES
from ledger.handlers import Handlers
from ledger.tally import Tally
from pydantic import SecretStr

from tests.support.commands import grafient
from tests.support.system import SystemClient


async def _replay(client: SystemClient, topic: Topic, service: str = "ledger", **requested: Any) -> ReplayReport:
    """What the command does, in this process."""
    url = SecretStr(client.address.database_url)
    settings = ReplaySettings(kafka_bootstrap_servers=client.address.kafka, database_url=url)
    return await run_replay(service, FACTORIES[service], settings, ReplayRequest(topic, **requested))


async def test_what_the_ledger_has_is_replayed_twice_without_a_change(client: SystemClient) -> None:
    _, integration_id = await client.team_in_ledger()
    rows = (
        "SELECT * FROM ledger.days WHERE integration_id = %s AND day < current_date - 10 ORDER BY day",
        integration_id,
    )
    before = await client.rows(*rows)

    first, second = [(await client.run("replay", COSTS.name, "--integration", integration_id))[0] for _ in range(2)]

    assert await client.rows(*rows) == before
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
    outcomes = await client.records_of(SYNC_OUTCOMES, integration_id)
    event_ids = [dict(record.headers)["ce_id"] for record in outcomes]
    assert len(event_ids) == len(set(event_ids))


async def test_what_the_ledger_lost_comes_back_for_one_integration_only(client: SystemClient) -> None:
    (team, lost), (_, other) = await client.team_in_ledger(), await client.team_in_ledger()
    before = (await _replay(client, COSTS)).after  # without what other tests deleted
    both = "DELETE FROM ledger.days WHERE integration_id = ANY(%s::uuid[]) RETURNING 1"
    assert len(await client.rows(both, [lost, other])) > 30

    report = await _replay(client, COSTS, integration_id=lost)
    held = await client.rows("SELECT 1 FROM ledger.days WHERE account_id = %s", team.account_id)
    assert report.counts["applied"] == len(held) > 0
    assert await client.rows("SELECT 1 FROM ledger.days WHERE integration_id = %s", other) == []

    assert (await _replay(client, COSTS)).after == before


async def test_the_report_counts_every_record_by_its_result(client: SystemClient) -> None:
    team, gone = await client.team_in_ledger()
    await client.remove(team, gone, "erase")
    await client.consumed("ledger", INTEGRATIONS)
    await client.publish(COSTS.name, gone, b"{not json", {"ce_type": b"CostRecorded"})

    whole, alone = await _replay(client, COSTS), await _replay(client, COSTS, integration_id=gone)

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


async def test_what_had_to_be_handled_twice_is_counted_once(
    client: SystemClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, integration_id = await client.team_in_ledger()
    handle_batch, failed = Handlers.handle_batch, asyncio.Event()

    async def fail_once(handlers: Handlers, events: Sequence[Event[Any]]) -> Tally:
        done = await handle_batch(handlers, events)
        if not failed.is_set():
            failed.set()
            raise TransientError("the broker became unavailable when all was written")
        return done

    monkeypatch.setattr(Handlers, "handle_batch", fail_once)
    report = await _replay(client, COSTS, integration_id=integration_id)

    assert failed.is_set()
    assert sum(report.counts.values()) == report.read


async def test_a_dry_run_counts_and_changes_nothing(client: SystemClient) -> None:
    team, integration_id = await client.team_in_ledger()
    await client.rows("DELETE FROM ledger.days WHERE integration_id = %s RETURNING 1", integration_id)

    report = await _replay(client, COSTS, account_id=team.account_id, dry_run=True)

    assert (report.by_type["CostRecorded"] >= 30, report.before) == (True, report.after)
    await _replay(client, COSTS, account_id=team.account_id)


async def test_a_range_of_offsets_is_read_exactly(client: SystemClient) -> None:
    _, integration_id = await client.team_in_ledger()
    record = next(one for one in await client.records(COSTS.name) if one.key == integration_id.encode())
    since, until = {record.partition: record.offset}, {record.partition: record.offset + 2}

    assert (await _replay(client, COSTS, since=since, until=until, dry_run=True)).read == 2
    assert (await _replay(client, COSTS, since=datetime(2999, 1, 1, tzinfo=UTC), dry_run=True)).read == 0


async def test_every_topic_can_be_replayed_and_asks_xai_nothing(client: SystemClient) -> None:
    team, integration_id = await client.team_in_ledger()
    await client.force(team, integration_id)
    calls, card = len(await client.calls(team)), await client.card(team, integration_id)

    for topic in TOPICS:
        for service in consumers_of(topic):
            report = await _replay(client, topic, service, integration_id=integration_id)
            assert (report.malformed, sum(report.counts.values())) == (0, report.read)

    assert await client.card(team, integration_id) == card
    assert (await client.force(team, integration_id))["reconciled"]
    assert len(await client.calls(team)) == calls + 1


async def test_a_broker_that_is_unavailable_is_named_in_a_sentence(client: SystemClient) -> None:
    failed = await grafient("replay", COSTS.name, env=client.environment | {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"})

    assert failed.status == 3
    assert "does not answer" in failed.stderr
    assert "Traceback" not in failed.stderr
