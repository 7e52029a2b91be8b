"""What a failed call means for its window, its integration and its key."""

from datetime import timedelta

import pytest
from contract.fields import Trigger
from contract.problems import Code
from syncer.domain import Days
from xai_usage import CallMalformed, CallRefused, CallTransient

from tests.syncer.support.fakes import says
from tests.syncer.support.syncer import World


async def test_a_transient_failure_is_told_at_first_and_when_its_code_changes(world: World) -> None:
    await world.ask(await world.integration())
    codes = [Code.XAI_UNAVAILABLE, Code.XAI_UNAVAILABLE, Code.RATE_LIMITED]
    for code in codes:
        world.xai.answers.append(CallTransient(code))
        await world.settle()
        await world.all_is_due()
    await world.settle()

    failures = world.publisher.failures()
    assert [(one.code, one.final, one.attempts) for one in failures] == [
        ("xai_unavailable", False, 1),
        ("rate_limited", False, 3),
    ]
    assert all(one.next_attempt_at and one.observed_at and one.next_attempt_at > one.observed_at for one in failures)
    assert len({one.event_id for one in world.publisher.records}) == len(world.publisher.records)
    assert len(world.publisher.windows()) == 1


async def test_a_window_that_fails_for_a_day_ends(world: World) -> None:
    await world.ask(await world.integration())
    world.xai.answers.extend([CallTransient(Code.XAI_UNAVAILABLE)] * 2)
    await world.settle()
    await world.sql("UPDATE windows SET failed_since = failed_since - interval '24 hours'")
    await world.all_is_due()

    await world.settle()

    last = world.publisher.failures()[-1]
    assert (last.code, last.final, last.attempts, last.next_attempt_at) == ("xai_unavailable", True, 2, None)
    assert (await world.window()).closed_at is not None


async def test_retry_after_is_obeyed_also_when_a_person_asks(world: World) -> None:
    integration_id = await world.integration()
    await world.ask(integration_id, Trigger.DAILY)
    world.xai.answers.append(CallTransient(Code.RATE_LIMITED, retry_after=3600))
    await world.settle()
    (failure,) = world.publisher.failures()
    assert failure.observed_at is not None
    assert failure.next_attempt_at is not None
    assert failure.next_attempt_at - failure.observed_at >= timedelta(hours=1)

    await world.ask(integration_id, Trigger.FORCE)
    await world.settle()

    assert len(world.xai.asked) == 1
    assert (await world.window()).trigger == "force"


async def test_retry_after_holds_for_every_window_of_the_integration(world: World) -> None:
    integration_id = await world.integration()
    await world.ask(integration_id, Trigger.DAILY)
    world.xai.answers.append(CallTransient(Code.RATE_LIMITED, retry_after=3600))
    await world.settle()
    first = (await world.recent()).first

    await world.ask(integration_id, Trigger.FORCE, Days(first - timedelta(days=20), first))
    await world.settle()

    assert len(world.xai.asked) == 1


async def test_a_new_key_does_not_shorten_retry_after_either(world: World) -> None:
    integration_id = await world.integration()
    await world.ask(integration_id, Trigger.DAILY)
    world.xai.answers.append(CallTransient(Code.RATE_LIMITED, retry_after=3600))
    await world.settle()

    await world.announce(await world.state(integration_id, version=2, credential_version=2))
    await world.seal(integration_id, version=2)
    await world.settle()

    assert len(world.xai.asked) == 1


async def test_a_person_who_asks_ends_the_pause_between_attempts(world: World) -> None:
    integration_id = await world.integration()
    await world.ask(integration_id, Trigger.DAILY)
    world.xai.answers.append(CallTransient(Code.XAI_UNAVAILABLE))
    await world.settle()
    await world.sql("UPDATE windows SET due_at = clock_timestamp() + interval '15 minutes'")

    await world.ask(integration_id, Trigger.FORCE)
    await world.settle()

    assert len(world.publisher.windows()) == 1


async def test_a_revoked_key_stops_the_calls_and_ends_what_is_open(world: World) -> None:
    integration_id, days = await world.integration(), await world.recent()
    for before in range(3):
        day = days.last - timedelta(days=before)
        await world.ask(integration_id, Trigger.DAILY, Days(day, day))
    world.xai.answers.append(CallRefused(Code.KEY_REFUSED))

    await world.settle()

    failures = world.publisher.failures()
    assert len(world.xai.asked) == 1
    assert [(one.code, one.final) for one in failures] == [("key_refused", True)] * 3
    assert sorted(one.attempts for one in failures) == [0, 0, 1]
    assert [one.credential_version for one in failures if one.observed_at] == [1]
    assert (await world.row_of(integration_id)).refused_code == "key_refused"


async def test_a_refusal_of_an_older_key_marks_nothing_and_the_newer_is_used_at_once(world: World) -> None:
    integration_id, days = await world.integration(), await world.recent()

    async def replace() -> None:
        world.xai.meanwhile = None
        await world.announce(await world.state(integration_id, version=2, credential_version=2))
        await world.seal(integration_id, version=2)

    world.xai.meanwhile = replace
    world.xai.answers.append(CallRefused(Code.KEY_REFUSED))
    await world.ask(integration_id, Trigger.FORCE, days)
    await world.settle()

    assert world.publisher.failures() == []
    assert [version for _, version, _ in world.xai.asked][:2] == [1, 2]
    assert (await world.row_of(integration_id)).refused_code is None


async def test_a_success_clears_the_mark_and_takes_in_today(world: World) -> None:
    integration_id, days = await world.integration(), await world.recent()
    world.xai.answers.append(CallRefused(Code.ACCESS_DENIED))
    await world.ask(integration_id)
    await world.settle()

    await world.ask(integration_id, Trigger.FORCE, Days(days.first, days.first))
    await world.settle()

    first, second = world.publisher.windows()
    assert (first.first_day, first.last_day) == (days.first, days.first)
    assert second.last_day == first.observed_at.date()
    assert second.trigger is Trigger.DAILY
    assert (await world.row_of(integration_id)).refused_code is None


async def test_an_answer_that_is_cut_all_over_still_shows_that_the_key_is_good(world: World) -> None:
    integration_id, days = await world.integration(), await world.recent()
    world.xai.answers.extend([CallRefused(Code.KEY_REFUSED), lambda asked: says(asked, cut=[days.last])])
    await world.ask(integration_id)
    await world.settle()

    await world.ask(integration_id, Trigger.FORCE, Days(days.last, days.last))
    await world.settle()

    assert world.publisher.failures()[-1].code == "answer_cut"
    assert (await world.row_of(integration_id)).refused_code is None


async def test_a_newer_key_clears_the_mark_and_takes_in_today(world: World) -> None:
    integration_id = await world.integration()
    world.xai.answers.append(CallRefused(Code.KEY_REFUSED))
    await world.ask(integration_id)
    await world.settle()

    await world.announce(await world.state(integration_id, version=2, credential_version=2))
    await world.seal(integration_id, version=2)
    await world.settle()

    (window,) = world.publisher.windows()
    assert window.last_day == window.observed_at.date()
    assert (window.credential_version, window.trigger) == (2, Trigger.DAILY)


async def test_a_second_refusal_keeps_the_day_of_the_first(world: World) -> None:
    integration_id = await world.integration()
    world.xai.answers.extend([CallRefused(Code.KEY_REFUSED), CallRefused(Code.ACCESS_DENIED)])
    await world.ask(integration_id)
    await world.settle()
    before = await world.row_of(integration_id)

    await world.ask(integration_id)
    await world.settle()

    after = await world.row_of(integration_id)
    assert (after.refused_since, after.refused_code) == (before.refused_since, "access_denied")


async def test_a_malformed_call_ends_its_window_only(world: World) -> None:
    integration_id, days = await world.integration(), await world.recent()
    world.xai.answers.append(CallMalformed(Code.TEAM_MALFORMED))
    await world.ask(integration_id, Trigger.FORCE, days)
    await world.ask(integration_id, Trigger.HEAL, Days(days.first - timedelta(days=1), days.first))

    await world.settle()

    (failure,) = world.publisher.failures()
    assert (failure.code, failure.final) == ("team_malformed", True)
    assert len(world.publisher.windows()) == 1
    assert (await world.row_of(integration_id)).refused_code is None


async def test_days_that_xai_does_not_tell_any_more_are_not_asked_for(world: World) -> None:
    integration_id, today = await world.integration(), await world.today()

    await world.ask(integration_id, Trigger.FORCE, Days(today - timedelta(days=200), today - timedelta(days=100)))
    await world.settle()

    (failure,) = world.publisher.failures()
    assert (failure.code, failure.final, failure.observed_at) == ("out_of_range", True, None)
    assert world.xai.asked == []


async def test_an_answer_of_which_nothing_is_whole_ends_as_cut(world: World) -> None:
    integration_id, days = await world.integration(), await world.recent()
    world.xai.answers.append(lambda asked: says(asked, cut=[days.first]))

    await world.ask(integration_id, Trigger.FORCE, Days(days.first, days.first))
    await world.settle()

    (failure,) = world.publisher.failures()
    assert (failure.code, failure.final) == ("answer_cut", True)
    assert failure.observed_at is not None
    assert world.publisher.windows() == []


@pytest.mark.parametrize("fails", [True, False])
async def test_what_is_answered_after_the_removal_is_not_taken(world: World, *, fails: bool) -> None:
    integration_id = await world.integration()
    if fails:
        world.xai.answers.append(CallTransient(Code.XAI_UNAVAILABLE))
    world.xai.meanwhile = lambda: world.remove(integration_id)

    await world.ask(integration_id)
    await world.settle()

    assert [(one.code, one.final) for one in world.publisher.failures()] == [("not_found", True)]
    assert world.publisher.windows() == []
    assert await world.sql("SELECT * FROM raw_answers") == []


async def test_a_window_whose_holder_died_ends_though_the_key_went_with_the_removal(world: World) -> None:
    integration_id = await world.integration()
    request_id = await world.ask(integration_id)
    await world.sql(
        """UPDATE integrations SET lease = gen_random_uuid(), lease_until = clock_timestamp() + interval '1 minute',
           leased_window = (SELECT window_id FROM windows)"""
    )
    await world.remove(integration_id)

    await world.leases_run_out()
    await world.settle()

    (failure,) = world.publisher.failures()
    assert (failure.code, failure.request_ids) == ("not_found", (request_id,))
