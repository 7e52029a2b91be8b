"""What is logged when a group does not come to rest."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

from aiokafka import TopicPartition
from common.kafka.rebalance import UNSTEADY, FinishBeforeRevoke
from structlog.testing import capture_logs

MINE = {TopicPartition("a-topic", 0)}


async def _shared_out(times: Iterator[float]) -> list[str]:
    """What is logged while the partitions are shared out at these times."""
    listener = FinishBeforeRevoke(lambda: now)
    with capture_logs() as logs:
        for now in times:  # noqa: B007 - the listener's clock reads it
            await listener.on_partitions_assigned(MINE)
    return [one["next_step"] for one in logs]


async def test_two_processes_that_take_a_name_from_each_other_are_reported() -> None:
    (next_step,) = await _shared_out(3.0 * number for number in range(UNSTEADY))

    assert "INSTANCE_NAME" in next_step


async def test_restarts_one_after_another_are_not_reported() -> None:
    assert await _shared_out(20.0 * number for number in range(3 * UNSTEADY)) == []


async def test_what_is_known_of_revoked_partitions_is_forgotten_after_the_batch_in_hand() -> None:
    forgotten: list[object] = []
    released = asyncio.Event()

    async def wait_release(_deadline: float) -> None:
        await released.wait()

    listener = FinishBeforeRevoke(forget=forgotten.append)
    listener.subscriber = SimpleNamespace(lock=SimpleNamespace(wait_release=wait_release))
    revoking = asyncio.create_task(listener.on_partitions_revoked(MINE))
    await asyncio.sleep(0)
    assert forgotten == []
    released.set()
    await revoking

    assert forgotten == [MINE]
