"""The peer stores what the ledger stores."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from contract.messages import CostRecorded

from benchmarks import ledger
from benchmarks.support import peer, peer_jars
from benchmarks.support.facts import Reading
from benchmarks.support.stack import CURRENT, running_stack

READING = Reading(integrations=2, windows=2, days=3, observed_at=datetime(2026, 10, 1, 6, tzinfo=UTC))


def test_the_peer_gets_every_fact_of_the_ledgers_topic_under_the_same_key() -> None:
    expected: dict[tuple[bytes, str], dict[str, Decimal]] = {}
    for record in READING.records():
        if dict(record.headers)["ce_type"] == b"CostRecorded":
            day = CostRecorded.model_validate_json(record.value)
            expected[record.key, str(day.day)] = {cost.label: cost.usd for cost in day.costs}
    found: dict[tuple[bytes, str], dict[str, Decimal]] = defaultdict(dict)
    for record in peer.records(READING):
        fact = json.loads(record.value, parse_float=Decimal, parse_int=int)
        day_of_fact = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=fact["day"])).date()
        found[record.key, str(day_of_fact)][fact["label"]] = Decimal(fact["usd"])
    assert found == expected


def test_every_committed_hash_is_of_one_jar_and_no_other_databases_driver_is_among_them() -> None:
    names = [line.split()[1] for line in peer_jars.HASHES.read_text().splitlines()]
    assert len(set(names)) == len(names)
    assert f"debezium-connector-jdbc-{peer_jars.DEBEZIUM_VERSION}.jar" in names
    assert not [name for name in names if "mysql" in name or "ojdbc" in name]


def test_a_build_is_compared_with_another_one_where_both_were_measured() -> None:
    rows: dict[tuple[str, str], dict[str, object]] = {
        ("fresh", CURRENT.name): {"facts_per_s": 300.0},
        ("equal", CURRENT.name): {"facts_per_s": 500.0},
        ("fresh", peer.PEER): {"facts_per_s": 100.0},
    }
    assert [row["ratio_to_debezium"] for row in ledger.compared(rows)] == [3, None, 1]


@pytest.mark.system
@pytest.mark.thorough
@pytest.mark.timeout(300)
@pytest.mark.skipif(not peer_jars.present(), reason="the peer's jars come with `make bench ARGS='ledger --peer'`")
async def test_the_peer_stores_every_fact_in_the_same_run() -> None:
    async with running_stack() as stack:
        rows = await ledger.measure_on(stack, ledger.steps(7200)[:1], 1, [CURRENT], with_peer=True)
    assert [row["build"] for row in rows] == [CURRENT.name, CURRENT.name, peer.PEER, peer.PEER]
    assert all(row["ratio_to_debezium"] for row in rows)
