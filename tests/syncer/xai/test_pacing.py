"""How often xAI is called: one team never delays another, and an outage of xAI is probed, not hammered."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from common.rate_limits import SECOND, Rate
from contract.fields import Trigger
from contract.problems import Code
from contract.tracing import tracing
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from structlog.typing import EventDict
from syncer.domain import REFUSALS_AFTER
from syncer.provider import ReadError, ReadOtherDaysError, ReadRefusedError, ReadTransientError
from syncer.xai.circuit_breaker import LONGEST_PAUSE
from syncer.xai.pacing import OUTAGE_AFTER, CallLimits

from tests.support.messages import PARENT
from tests.support.waiting import until
from tests.syncer.support.syncer import SyncerHarness

AT = datetime(2026, 11, 20, tzinfo=UTC)
UNAVAILABLE = ReadTransientError(Code.XAI_UNAVAILABLE)
REFUSED = ReadRefusedError(Code.KEY_REFUSED)
OTHER_DAYS = ReadOtherDaysError(Code.ANSWER_UNREADABLE)


def test_one_team_opens_no_circuit_however_many_connected_it() -> None:
    limits = CallLimits(clock=lambda: 0)
    for failure in (UNAVAILABLE, REFUSED):
        for _ in range(2 * REFUSALS_AFTER):
            limits.record("team", failure, AT)

    assert limits.may_claim()


@pytest.mark.parametrize(
    ("failure", "opens"),
    [
        (UNAVAILABLE, True),
        (ReadTransientError(Code.RATE_LIMITED, 5), True),
        (ReadTransientError(Code.ANSWER_UNREADABLE), True),
        (REFUSED, True),
        (ReadTransientError(Code.KEY_UNAVAILABLE), False),
        (ReadTransientError(Code.INTERNAL), False),
        (OTHER_DAYS, True),
        (ReadError(Code.REQUEST_REFUSED), False),
        (None, False),
    ],
)
def test_only_faults_of_xai_open_a_circuit(failure: ReadError | None, opens: bool) -> None:  # noqa: FBT001 - a parameter
    limits = CallLimits(clock=lambda: 0)
    for _ in range(REFUSALS_AFTER):
        limits.record(str(uuid4()), failure, AT)

    assert (not limits.may_claim()) is opens


def test_a_refusal_shows_that_xai_is_back_but_not_its_authentication() -> None:
    limits = CallLimits(clock=lambda: 0)
    for _ in range(OUTAGE_AFTER):
        limits.record(str(uuid4()), UNAVAILABLE, AT)
    assert limits.record(str(uuid4()), REFUSED, AT) == AT
    assert limits.may_claim()

    for _ in range(REFUSALS_AFTER):
        assert limits.record(str(uuid4()), REFUSED, AT) is None
    assert not limits.may_claim()
    assert limits.record(str(uuid4()), UNAVAILABLE, AT) is None
    assert limits.record(str(uuid4()), None, AT) == AT


def test_five_teams_with_answers_about_other_days_raise_one_alert_and_a_good_answer_clears_it() -> None:
    limits = CallLimits(clock=lambda: 0)
    with capture_logs() as logs:
        for team in ("one", "two", "three", "four", "four", "one"):
            limits.record(team, OTHER_DAYS, AT)
        limits.record("other", UNAVAILABLE, AT)
        assert (_alert(), _named(logs)) == (0, 0)

        for team in ("five", "six", "one"):
            limits.record(team, OTHER_DAYS, AT)
        assert (_alert(), _named(logs)) == (1, 1)

        limits.record("two", None, AT)
        assert (_alert(), _named(logs)) == (0, 1)


def _alert() -> float | None:
    return REGISTRY.get_sample_value("grafient_xai_answers_other_days")


def _named(logs: list[EventDict]) -> int:
    return [(one["event"], one["log_level"]) for one in logs].count(("xai.answers_other_days", "error"))


def test_calls_are_limited_overall() -> None:
    now = 0
    limits = CallLimits(overall=Rate(2, 2), clock=lambda: now)

    for _ in range(2):
        assert limits.may_claim()
        limits.note_claim()
    assert not limits.may_claim()
    now = SECOND
    assert limits.may_claim() == 1


def test_an_open_circuit_is_probed_by_one_window() -> None:
    now = 0
    limits = CallLimits(overall=Rate(9, 1), clock=lambda: now)
    assert limits.may_claim() == 9
    for _ in range(OUTAGE_AFTER):
        limits.record(str(uuid4()), UNAVAILABLE, AT)
    assert limits.may_claim() == 0

    now = int(LONGEST_PAUSE * SECOND)

    assert limits.may_claim() == 1


async def test_an_outage_of_xai_is_probed_and_then_everything_is_read_without_anyone_asking(
    syncer: SyncerHarness,
) -> None:
    ids = [await syncer.integration() for _ in range(OUTAGE_AFTER * 3)]
    for one in ids:
        await syncer.ask(one)
    syncer.xai.answers.extend([UNAVAILABLE] * 1000)
    async with syncer.working(in_flight=1):
        await until(lambda: not syncer.limits.may_claim())
        asked = len(syncer.xai.calls)
        assert asked == OUTAGE_AFTER
        assert {one.attempts for one in await syncer.windows()} == {0, 1}

        syncer.clock += 6 * SECOND
        await until(lambda: len(syncer.xai.calls) == asked + 1)
        syncer.xai.answers.clear()

        await until(lambda: _minute_later(syncer), lambda read: read == len(ids))
    assert len(syncer.xai.calls) <= asked + 1 + len(ids)


async def test_an_outage_of_xais_authentication_leaves_nobody_refused(syncer: SyncerHarness) -> None:
    ids = [await syncer.integration() for _ in range(REFUSALS_AFTER + 5)]
    for one in ids:
        with tracing(PARENT):
            await syncer.ask(one)
    syncer.xai.answers.extend([REFUSED] * REFUSALS_AFTER)
    async with syncer.working(in_flight=1):
        await until(lambda: len(syncer.failures()) == REFUSALS_AFTER)
        assert len(syncer.xai.calls) == REFUSALS_AFTER
        syncer.clock += 6 * SECOND

        await until(lambda: len({one.integration_id for one in syncer.readings()}) == len(ids))

    assert await syncer.sql("SELECT 1 FROM integrations WHERE refused_code IS NOT NULL") == []
    again = [one for one in syncer.publisher.of("WindowRead") if one.message.request_ids[0].startswith("recheck")]
    assert [one.headers.get("traceparent") for one in again] == [None] * len(again), "not that of another account"


async def test_an_outage_of_xais_authentication_that_hit_everybody_ends_without_anyone_asking(
    syncer: SyncerHarness,
) -> None:
    ids = [await syncer.integration() for _ in range(REFUSALS_AFTER)]
    for one in ids:
        await syncer.ask(one)
    syncer.xai.answers.extend([REFUSED] * REFUSALS_AFTER)
    async with syncer.working(in_flight=1):
        await until(lambda: _all_are_closed(syncer))
        await syncer.healer.round()
        syncer.clock += 6 * SECOND

        await until(lambda: len({one.integration_id for one in syncer.readings()}) == len(ids))

    assert await syncer.sql("SELECT 1 FROM integrations WHERE refused_code IS NOT NULL") == []


async def _all_are_closed(syncer: SyncerHarness) -> bool:
    return not await syncer.sql("SELECT FROM windows WHERE closed_at IS NULL")


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
async def test_keys_that_were_refused_for_a_reason_are_not_tried_again(syncer: SyncerHarness, but: str) -> None:
    for _ in range(REFUSALS_AFTER):
        await syncer.integration()
    await syncer.sql(
        "UPDATE integrations SET refused_code = 'key_refused', refused_since = now(), history_from = current_date"
    )
    await syncer.sql(but)

    await syncer.healer.round()

    assert await syncer.requests() == []


async def test_what_was_tried_for_everybody_waits_before_it_is_tried_again(syncer: SyncerHarness) -> None:
    for _ in range(REFUSALS_AFTER):
        await syncer.integration()
    await syncer.sql(
        "UPDATE integrations SET refused_code = 'key_refused', refused_since = now(), history_from = current_date"
    )

    for _ in range(3):
        await syncer.healer.round()

    assert len(await syncer.requests()) == REFUSALS_AFTER


async def test_a_team_over_its_limit_waits_without_an_attempt(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    syncer.limits = CallLimits(per_team=Rate(1, 3600))
    await syncer.ask(integration_id)
    await syncer.settle()
    await syncer.ask(integration_id, Trigger.FORCE)

    await syncer.settle()

    (waits,) = [one for one in await syncer.windows() if one.closed_at is None]
    assert (waits.attempts, waits.decision) == (0, None)
    assert len(syncer.xai.calls) == 1
    await syncer.sql("UPDATE teams SET full_at = full_at - interval '1 hour'")
    await syncer.settle()
    assert len(syncer.xai.calls) == 2


def _minute_later(syncer: SyncerHarness) -> int:
    """Answers how many windows have been read so far."""
    syncer.clock += 60 * SECOND
    return len(syncer.readings())
