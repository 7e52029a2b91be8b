"""Sealed keys come in batches; a batch leaves what its messages would leave one by one."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from contract.cloudevents import Event, MalformedError, Marker, Tombstone
from contract.messages import CredentialSealed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.syncer.support.syncer import ACCOUNT, World

AT = datetime(2026, 11, 20, tzinfo=UTC)
IDS = [UUID(int=number) for number in (1, 2, 3)]

Step = tuple[UUID, int, int | None]
"""Integration, credential version, wrap version; None: a tombstone."""
STEPS = st.lists(st.tuples(st.sampled_from(IDS), st.integers(1, 3), st.none() | st.integers(1, 3)), max_size=12)


def _message(step: Step) -> CredentialSealed | Tombstone:
    integration_id, version, wrap = step
    if wrap is None:
        return Tombstone(key=str(integration_id), headers={"credential_version": str(version)})
    return CredentialSealed(
        integration_id=integration_id,
        account_id=ACCOUNT,
        credential_version=version,
        wrap_version=wrap,
        envelope={"format": "obviously-fake", "wrap": str(wrap)},
    )


def _event(step: Step) -> Event[Any]:
    return Event(_message(step), "", AT)


async def _kept(world: World) -> list[Any]:
    return await world.sql(
        "SELECT integration_id, credential_version, wrap_version, envelope FROM credentials ORDER BY integration_id"
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
async def test_a_batch_leaves_what_its_messages_leave_one_by_one(world: World, steps: list[Step]) -> None:
    await world.sql("TRUNCATE credentials")
    for step in steps:
        handle: Any = world.handlers.credential_gone if step[2] is None else world.handlers.credential
        await handle(_event(step))
    expected = await _kept(world)
    await world.sql("TRUNCATE credentials")

    await world.handlers.credentials(list(map(_event, steps)))

    assert await _kept(world) == expected


async def test_markers_in_a_batch_are_passed_over(world: World) -> None:
    await world.handlers.credentials([Event(Marker(), "", AT), _event((IDS[0], 1, 1))])
    assert len(await _kept(world)) == 1


async def test_a_batch_with_a_tombstone_that_names_nothing_leaves_nothing(world: World) -> None:
    with pytest.raises(MalformedError):
        await world.handlers.credentials([_event((IDS[0], 1, 1)), Event(Tombstone(key="any", headers={}), "", AT)])
    assert await _kept(world) == []
