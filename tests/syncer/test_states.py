"""States are stored some at a time, in their order, and never two of one integration in one transaction."""

from datetime import UTC, datetime
from itertools import chain
from uuid import UUID, uuid4

from contract.cloudevents import Event
from contract.fields import Plan
from hypothesis import given
from hypothesis import strategies as st
from syncer.states import AT_ONCE, portions

from tests.support.messages import integration_changed
from tests.syncer.support.syncer import SyncerHarness

NOW = datetime.now(UTC)


@given(numbers=st.lists(st.integers(0, 40), max_size=120))
def test_each_portion_has_an_integration_once_and_the_order_stays(numbers: list[int]) -> None:
    announced = [(integration_changed(UUID(int=number)), f"{place}") for place, number in enumerate(numbers)]

    found = list(portions(announced))

    assert list(chain.from_iterable(found)) == announced
    for portion in found:
        assert 0 < len({state.integration_id for state, _ in portion}) == len(portion) <= AT_ONCE


async def test_of_several_states_that_arrive_together_each_integration_has_its_newest(syncer: SyncerHarness) -> None:
    states = [await syncer.state(uuid4()) for _ in range(AT_ONCE + 1)]
    newer = [state.model_copy(update={"version": 2, "plan": Plan.PRO}) for state in states]

    await syncer.handlers.integrations([Event(state, "any", NOW) for state in (*states, *newer, *states)])

    found = await syncer.sql("SELECT integration_id, version, plan FROM integrations")
    assert {tuple(row) for row in found} == {(state.integration_id, 2, "pro") for state in states}
    assert len(await syncer.sql("SELECT DISTINCT integration_id FROM windows")) == len(states)


async def test_requests_that_waited_for_integrations_that_arrive_together_are_queued(syncer: SyncerHarness) -> None:
    states = [await syncer.state(uuid4()) for _ in range(3)]
    asked = {await syncer.ask(state.integration_id) for state in states}

    await syncer.handlers.integrations([Event(state, "any", NOW) for state in states])

    waiting = await syncer.sql("SELECT request_id FROM requests WHERE window_id IS NULL")
    assert waiting == []
    assert asked <= {row.request_id for row in await syncer.requests()}
