"""What is logged when a group does not come to rest."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

from aiokafka import TopicPartition
from common.kafka.rebalance import UNSTEADY, WITHIN, FinishBeforeRevoke
from common.metrics import CONSUMER_PARTITIONS
from contract.topics import COSTS
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from tests.support.fakes import MonotonicClock

MINE = {TopicPartition(COSTS.name, 0)}


async def _shared_out(times: Iterator[float]) -> list[str]:
    """What is logged while the partitions are shared out at these times."""
    listener = FinishBeforeRevoke(COSTS, lambda: now)
    with capture_logs() as logs:
        for now in times:  # noqa: B007 - the listener's clock reads it
            await listener.on_partitions_assigned(MINE)
    return [one["next_step"] for one in logs if one["event"] == "consumer.unsteady"]


async def test_two_processes_that_take_a_name_from_each_other_are_reported() -> None:
    (next_step,) = await _shared_out(3.0 * number for number in range(UNSTEADY))

    assert "INSTANCE_NAME" in next_step


async def test_restarts_one_after_another_are_not_reported() -> None:
    assert await _shared_out(20.0 * number for number in range(3 * UNSTEADY)) == []


async def test_revoked_partitions_are_committed_and_forgotten_after_the_batch_in_hand() -> None:
    done: list[object] = []
    released = asyncio.Event()

    async def wait_release(_deadline: float) -> None:
        await released.wait()

    async def commit_handled() -> None:
        done.append("committed")

    listener = FinishBeforeRevoke(COSTS, forget=done.append)
    consumer = SimpleNamespace(commit_handled=commit_handled)
    listener.subscriber = SimpleNamespace(lock=SimpleNamespace(wait_release=wait_release), consumer=consumer)
    revoking = asyncio.create_task(listener.on_partitions_revoked(MINE))
    await asyncio.sleep(0)
    assert done == []
    released.set()
    await revoking

    assert done == ["committed", MINE]


async def test_a_process_shows_how_many_partitions_it_handles_and_logs_that_it_has_none() -> None:
    listener = FinishBeforeRevoke(COSTS)
    shown = CONSUMER_PARTITIONS.labels(COSTS.name)._value.get  # noqa: SLF001 - the client has no public way
    with capture_logs() as logs:
        await listener.on_partitions_assigned(set())
        await listener.on_partitions_assigned(MINE)
        assert shown() == 1
        await listener.on_partitions_revoked(MINE)
        assert shown() == 0
        await listener.on_partitions_assigned(MINE)

    assert [(one["event"], one["partitions"]) for one in logs] == [("consumer.idle", 0), ("consumer.assigned", 1)]


async def test_a_group_that_does_not_settle_shows_for_a_minute() -> None:
    clock = MonotonicClock(0.0)
    listener = FinishBeforeRevoke(COSTS, clock)
    for _ in range(UNSTEADY):
        await listener.on_partitions_assigned(MINE)
    assert _unsteady() == 1
    clock.now += WITHIN + 1

    assert _unsteady() == 0


def _unsteady() -> float | None:
    return REGISTRY.get_sample_value("grafient_consumer_unsteady", {"topic": COSTS.name})
