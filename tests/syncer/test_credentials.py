"""Sealed keys come in batches; a batch leaves what its messages would leave one by one."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from contract.cloudevents import Event, MalformedError, Marker, Tombstone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.messages import credential_sealed
from tests.syncer.support.syncer import SyncerHarness

AT = datetime(2026, 11, 20, tzinfo=UTC)
IDS = [UUID(int=number) for number in (1, 2, 3)]

Step = tuple[UUID, int, int | None]
"""Integration, credential version, wrap version; None: a tombstone."""
STEPS = st.lists(st.tuples(st.sampled_from(IDS), st.integers(1, 3), st.none() | st.integers(1, 3)), max_size=12)


def _event(step: Step) -> Event[Any]:
    integration_id, version, wrap = step
    if wrap is None:
        return Event(Tombstone(key=str(integration_id), headers={"credential_version": str(version)}), "", AT)
    envelope = {"format": "obviously-fake", "wrap": str(wrap)}
    fields = {"credential_version": version, "wrap_version": wrap, "envelope": envelope}
    return Event(credential_sealed(integration_id, **fields), "", AT)


async def _kept(syncer: SyncerHarness) -> list[Any]:
    return await syncer.sql(
        "SELECT integration_id, credential_version, wrap_version, envelope FROM credentials ORDER BY integration_id"
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
async def test_a_batch_leaves_what_its_messages_leave_one_by_one(syncer: SyncerHarness, steps: list[Step]) -> None:
    await syncer.sql("TRUNCATE credentials")
    for step in steps:
        await syncer.handlers.credential(_event(step))
    expected = await _kept(syncer)
    await syncer.sql("TRUNCATE credentials")

    await syncer.handlers.credentials(list(map(_event, steps)))

    assert await _kept(syncer) == expected


async def test_markers_in_a_batch_are_passed_over(syncer: SyncerHarness) -> None:
    await syncer.handlers.credentials([Event(Marker(), "", AT), _event((IDS[0], 1, 1))])
    assert len(await _kept(syncer)) == 1


async def test_a_batch_with_a_tombstone_that_names_nothing_leaves_nothing(syncer: SyncerHarness) -> None:
    with pytest.raises(MalformedError):
        await syncer.handlers.credentials([_event((IDS[0], 1, 1)), Event(Tombstone(key="any", headers={}), "", AT)])
    assert await _kept(syncer) == []
