"""How often xAI is asked: one team never delays another, and an outage of xAI is probed, not hammered."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from common.rate_limits import SECOND, Rate
from contract.fields import Trigger
from contract.problems import Code
from hypothesis import given
from hypothesis import strategies as st
from syncer.domain import REFUSALS_AFTER
from syncer.xai.circuit_breaker import FIRST_PAUSE, LONGEST_PAUSE, Circuit
from syncer.xai.pacing import OUTAGE_AFTER, Pace
from xai_usage import CallFailed, CallMalformed, CallRefused, CallTransient

from tests.syncer.support.syncer import World

AT = datetime(2026, 11, 20, tzinfo=UTC)
AWAY = CallTransient(Code.XAI_UNAVAILABLE)
REFUSED = CallRefused(Code.KEY_REFUSED)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _open(circuit: Circuit, count: int) -> None:
    for number in range(count):
        circuit.failed(f"team-{number}", AT)


def test_a_circuit_opens_when_many_fail_without_a_success_between_them() -> None:
    circuit = Circuit(3, Clock())
    _open(circuit, 2)
    circuit.failed("team-0", AT)
    assert not circuit.is_open

    circuit.well()
    _open(circuit, 2)
    assert not circuit.is_open
    assert circuit.failed("team-9", AT)
    assert circuit.is_open


def test_failures_far_apart_open_nothing() -> None:
    circuit = Circuit(3, Clock())
    for number in range(9):
        circuit.failed(f"team-{number}", AT + number * timedelta(minutes=3))

    assert not circuit.is_open


def test_an_open_circuit_lets_one_call_through_at_growing_intervals() -> None:
    clock = Clock()
    circuit = Circuit(3, clock)
    _open(circuit, 3)
    pauses = []
    for _ in range(6):
        pauses.append(circuit.wait())
        clock.now += circuit.wait()
        assert circuit.wait() == 0
        circuit.calls()
        assert circuit.wait() > 0
        circuit.failed(str(uuid4()), AT)

    assert pauses == [FIRST_PAUSE * factor for factor in (1, 2)] + [LONGEST_PAUSE] * 4


def test_calls_that_were_on_their_way_when_it_opened_delay_no_probe() -> None:
    circuit = Circuit(3, Clock())
    _open(circuit, 3)
    for _ in range(5):
        circuit.failed(str(uuid4()), AT)

    assert circuit.wait() == FIRST_PAUSE


def test_a_success_closes_and_says_since_when_it_lasted() -> None:
    circuit = Circuit(2, Clock())
    circuit.failed(str(uuid4()), AT)
    circuit.failed(str(uuid4()), AT + timedelta(seconds=7))

    assert circuit.well() == AT
    assert (circuit.is_open, circuit.wait(), circuit.well()) == (False, 0.0, None)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_whatever_happens_a_success_lets_everybody_through(calls: list[tuple[int, bool]]) -> None:
    circuit = Circuit(3, Clock())
    for who, went_well in calls:
        _ = circuit.well() if went_well else circuit.failed(f"team-{who}", AT)

    circuit.well()
    assert circuit.wait() == 0


@pytest.mark.parametrize(
    ("failure", "opens"),
    [
        (AWAY, True),
        (CallTransient(Code.RATE_LIMITED, 5), True),
        (CallTransient(Code.ANSWER_UNREADABLE), True),
        (REFUSED, True),
        (CallTransient(Code.UNSEALABLE), False),
        (CallMalformed(Code.TEAM_MALFORMED), False),
        (None, False),
    ],
)
def test_only_what_may_be_xais_own_fault_opens_a_circuit(failure: CallFailed | None, opens: bool) -> None:  # noqa: FBT001 - a parameter
    pace = Pace(clock=lambda: 0)
    for _ in range(REFUSALS_AFTER):
        pace.ended(str(uuid4()), failure, AT)

    assert (not pace.may_claim()) is opens


def test_a_refusal_shows_that_xai_is_back_but_not_its_authentication() -> None:
    pace = Pace(clock=lambda: 0)
    for _ in range(OUTAGE_AFTER):
        pace.ended(str(uuid4()), AWAY, AT)
    assert pace.ended(str(uuid4()), REFUSED, AT) == AT
    assert pace.may_claim()

    for _ in range(REFUSALS_AFTER):
        assert pace.ended(str(uuid4()), REFUSED, AT) is None
    assert not pace.may_claim()
    assert pace.ended(str(uuid4()), AWAY, AT) is None
    assert pace.ended(str(uuid4()), None, AT) == AT


def test_a_team_that_is_asked_about_too_often_delays_no_other() -> None:
    now = 0
    pace = Pace(per_team=Rate(2, 2), clock=lambda: now)

    assert [pace.wait("busy") for _ in range(3)] == [0, 0, 1]
    assert pace.wait("other") == 0
    now = SECOND
    assert pace.wait("busy") == 0


def test_calls_are_limited_overall() -> None:
    now = 0
    pace = Pace(overall=Rate(2, 2), clock=lambda: now)

    assert [pace.may_claim() for _ in range(3)] == [True, True, False]
    now = SECOND
    assert pace.may_claim()


async def test_an_outage_of_xai_is_probed_and_then_everything_is_read_without_anyone_asking(world: World) -> None:
    ids = [await world.integration() for _ in range(OUTAGE_AFTER * 3)]
    for one in ids:
        await world.ask(one)
    world.xai.answers.extend([AWAY] * 1000)
    async with world.working(in_flight=1):
        await world.until(lambda: _holds(not world.pace.may_claim()))
        asked = len(world.xai.asked)
        assert asked == OUTAGE_AFTER
        assert {one.attempts for one in await world.windows()} == {0, 1}

        world.clock += 6 * SECOND
        await world.until(lambda: _holds(len(world.xai.asked) == asked + 1))
        world.xai.answers.clear()

        await world.until(lambda: _minutes_pass(world, len(world.publisher.windows()) == len(ids)))
    assert len(world.xai.asked) <= asked + 1 + len(ids)


async def test_an_outage_of_xais_authentication_leaves_nobody_refused(world: World) -> None:
    ids = [await world.integration() for _ in range(REFUSALS_AFTER + 5)]
    for one in ids:
        await world.ask(one)
    world.xai.answers.extend([REFUSED] * REFUSALS_AFTER)
    async with world.working(in_flight=1):
        await world.until(lambda: _holds(len(world.publisher.failures()) == REFUSALS_AFTER))
        assert len(world.xai.asked) == REFUSALS_AFTER
        world.clock += 6 * SECOND

        await world.until(lambda: _holds(len({one.integration_id for one in world.publisher.windows()}) == len(ids)))

    assert await world.sql("SELECT 1 FROM integrations WHERE refused_code IS NOT NULL") == []


async def test_an_outage_of_xais_authentication_that_hit_everybody_ends_without_anyone_asking(world: World) -> None:
    ids = [await world.integration() for _ in range(REFUSALS_AFTER)]
    for one in ids:
        await world.ask(one)
    world.xai.answers.extend([REFUSED] * REFUSALS_AFTER)
    async with world.working(in_flight=1):
        await world.until(lambda: _holds(len(world.publisher.failures()) == REFUSALS_AFTER))
        await world.healer.round()
        world.clock += 6 * SECOND

        await world.until(lambda: _holds(len({one.integration_id for one in world.publisher.windows()}) == len(ids)))

    assert await world.sql("SELECT 1 FROM integrations WHERE refused_code IS NOT NULL") == []


@pytest.mark.parametrize(
    "but",
    [
        "DELETE FROM integrations WHERE integration_id = (SELECT integration_id FROM integrations LIMIT 1)",
        "UPDATE integrations SET refused_since = now() - interval '2 days'",
        "UPDATE integrations SET read_at = now() + interval '1 second'",
        "UPDATE integrations SET removed = true",
        "UPDATE integrations SET team_id = 'the same'",
    ],
    ids=["nine", "long ago", "another was accepted since", "removed", "one team"],
)
async def test_keys_that_were_refused_for_a_reason_are_not_tried_again(world: World, but: str) -> None:
    for _ in range(REFUSALS_AFTER):
        await world.integration()
    await world.sql(
        "UPDATE integrations SET refused_code = 'key_refused', refused_since = now(), history_from = current_date"
    )
    await world.sql(but)

    await world.healer.round()

    assert await world.requests() == []


async def test_what_was_tried_for_everybody_waits_before_it_is_tried_again(world: World) -> None:
    for _ in range(REFUSALS_AFTER):
        await world.integration()
    await world.sql(
        "UPDATE integrations SET refused_code = 'key_refused', refused_since = now(), history_from = current_date"
    )

    for _ in range(3):
        await world.healer.round()

    assert len(await world.requests()) == REFUSALS_AFTER


async def test_a_team_over_its_limit_waits_without_an_attempt(world: World) -> None:
    integration_id = await world.integration()
    world.pace = Pace(per_team=Rate(1, 60), clock=lambda: 0)
    await world.ask(integration_id)
    await world.settle()
    await world.ask(integration_id, Trigger.FORCE)

    await world.settle()

    (waits,) = [one for one in await world.windows() if one.closed_at is None]
    assert (waits.attempts, waits.decision) == (0, None)
    assert waits.due_at - waits.created_at > timedelta(seconds=50)
    assert len(world.xai.asked) == 1


async def _minutes_pass(world: World, condition: bool) -> bool:  # noqa: FBT001 - what is waited for
    world.clock += 60 * SECOND
    return condition


async def _holds(condition: bool) -> bool:  # noqa: FBT001 - what is waited for
    return condition


def test_one_team_opens_no_circuit_however_many_connected_it() -> None:
    pace = Pace(clock=lambda: 0)
    for failure in (AWAY, REFUSED):
        for _ in range(2 * REFUSALS_AFTER):
            pace.ended("team", failure, AT)

    assert pace.may_claim()
