"""A record without its key, or where its key does not belong, is handled, counted, and reported once a minute."""

from typing import Any

import pytest
from aiokafka import ConsumerRecord
from common.kafka.failure_policy import FailurePolicy
from common.kafka.placement import EVERY, Placement
from common.metrics import MISPLACED
from common.watchdog import Watchdog
from contract.cloudevents import MARKER_KEY, decode
from contract.messages import ChangePlan
from contract.topics import COMMANDS_TOPIC, CREDENTIALS, SYNC_REQUESTS, Topic
from structlog.testing import capture_logs

from tests.support.fakes import MonotonicClock, RecordingDeadLetters
from tests.support.messages import ACCOUNT, command, raw_record, record_of, sync_requested

INTEGRATION = "3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"
ITS_PARTITION = 5
"""By the Java client, of 6."""
ALLS_PARTITION = 0


def _request(**fields: Any) -> ConsumerRecord:
    default: dict[str, Any] = {"key": INTEGRATION.encode(), "partition": ITS_PARTITION}
    return record_of(SYNC_REQUESTS, sync_requested(INTEGRATION), **default | fields)


def _why(topic: Topic, record: ConsumerRecord) -> list[str]:
    """What the record adds to the counter."""
    before = _counted(topic)
    Placement(topic, topic.partitions).check(record, decode(record, topic))
    return [why for why, count in _counted(topic).items() if count > before.get(why, 0)]


def _counted(topic: Topic) -> dict[str, float]:
    (metric,) = MISPLACED.collect()
    return {
        one.labels["why"]: one.value
        for one in metric.samples
        if one.labels["topic"] == topic.name and one.name.endswith("_total")
    }


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, []),
        ({"key": None}, ["no_key"]),
        ({"key": b""}, ["no_key"]),
        ({"key": b"all"}, ["other_key"]),
        ({"key": INTEGRATION.upper().encode()}, ["other_key"]),
        ({"key": b"\xff"}, ["other_key"]),
        ({"partition": ITS_PARTITION - 1}, ["other_partitioner"]),
    ],
)
def test_a_request_belongs_where_its_integration_does(fields: dict[str, Any], why: list[str]) -> None:
    assert _why(SYNC_REQUESTS, _request(**fields)) == why


def test_the_key_of_a_request_for_all_is_the_word_and_that_of_a_command_is_the_account() -> None:
    request = record_of(SYNC_REQUESTS, sync_requested(), key=b"all", partition=ALLS_PARTITION)
    change = command(ChangePlan, plan="pro")

    assert _why(SYNC_REQUESTS, request) == []
    assert "other_key" not in _why(COMMANDS_TOPIC, record_of(COMMANDS_TOPIC, change, key=ACCOUNT.encode()))
    assert _why(COMMANDS_TOPIC, record_of(COMMANDS_TOPIC, change, key=INTEGRATION.encode())) == ["other_key"]


def test_markers_lie_on_every_partition_and_a_tombstone_where_its_key_does() -> None:
    tombstone: dict[str, Any] = {"value": None, "headers": [("credential_version", b"1")], "key": INTEGRATION.encode()}

    assert _why(CREDENTIALS, raw_record(CREDENTIALS, b"{}", key=MARKER_KEY.encode(), partition=1)) == []
    assert _why(CREDENTIALS, raw_record(CREDENTIALS, **tombstone, partition=ITS_PARTITION)) == []
    assert _why(CREDENTIALS, raw_record(CREDENTIALS, **tombstone, partition=4)) == ["other_partitioner"]


def test_a_tombstone_that_purges_a_former_partition_belongs_there() -> None:
    purge = raw_record(CREDENTIALS, None, [("credential_version", b"0")], key=INTEGRATION.encode(), partition=4)

    assert _why(CREDENTIALS, purge) == []


def test_a_topic_is_reported_once_a_minute_with_the_source_and_the_next_step() -> None:
    clock = MonotonicClock(100.0)
    placement, record = Placement(SYNC_REQUESTS, 6, clock), _request(key=None, offset=7)
    event = decode(record, SYNC_REQUESTS)

    with capture_logs() as logs:
        for seconds in (0.0, 1.0, EVERY - 1.0, 0.0):
            clock.now += seconds
            placement.check(record, event)

    assert [(one["why"], one["ce_source"], one["offset"]) for one in logs] == [("no_key", "/test", 7)] * 2
    assert "docs/topics.md" in logs[0]["next_step"]


async def test_what_is_delivered_again_counts_once_and_what_is_misplaced_is_handled() -> None:
    handled: list[int] = []
    policy = FailurePolicy(
        SYNC_REQUESTS, RecordingDeadLetters(), Watchdog(), placement=Placement(SYNC_REQUESTS, 6), pause=_no_pause
    )
    before = _counted(SYNC_REQUESTS)["no_key"]

    async def handle(events: Any) -> None:
        handled.append(len(events))

    await policy.consume([_request(key=None), _request(offset=1)], handle)

    assert handled == [2]
    assert _counted(SYNC_REQUESTS)["no_key"] == before + 1


async def _no_pause(_seconds: float) -> None:
    """Nothing fails here."""
