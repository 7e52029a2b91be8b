"""What a failed reading means for its window, its integration and its key."""

from datetime import timedelta

import pytest
from contract.fields import Trigger
from contract.problems import Code
from syncer.domain import Days
from syncer.provider import ReadError, ReadRefusedError, ReadTransientError

from tests.syncer.support.provider import reading_of
from tests.syncer.support.syncer import SyncerHarness


async def test_a_transient_failure_is_published_at_first_and_when_its_code_changes(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())
    codes = [Code.XAI_UNAVAILABLE, Code.XAI_UNAVAILABLE, Code.RATE_LIMITED]
    for code in codes:
        syncer.xai.answers.append(ReadTransientError(code))
        await syncer.settle()
        await syncer.make_all_due()
    await syncer.settle()

    failures = syncer.failures()
    assert [(one.code, one.final, one.attempts) for one in failures] == [
        ("xai_unavailable", False, 1),
        ("rate_limited", False, 3),
    ]
    assert all(one.next_attempt_at and one.observed_at and one.next_attempt_at > one.observed_at for one in failures)
    assert len({one.event_id for one in syncer.publisher.published}) == len(syncer.publisher.published)
    assert len(syncer.readings()) == 1


async def test_a_window_that_fails_for_a_day_ends(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())
    syncer.xai.answers.extend([ReadTransientError(Code.XAI_UNAVAILABLE)] * 2)
    await syncer.settle()
    await syncer.sql("UPDATE windows SET failed_since = failed_since - interval '24 hours'")
    await syncer.make_all_due()

    await syncer.settle()

    last = syncer.failures()[-1]
    assert (last.code, last.final, last.attempts, last.next_attempt_at) == ("xai_unavailable", True, 2, None)
    assert (await syncer.window()).closed_at is not None


async def test_retry_after_is_obeyed_also_when_a_person_asks(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.ask(integration_id, Trigger.DAILY)
    syncer.xai.answers.append(ReadTransientError(Code.RATE_LIMITED, retry_after=3600))
    await syncer.settle()
    (failure,) = syncer.failures()
    assert failure.observed_at is not None
    assert failure.next_attempt_at is not None
    assert failure.next_attempt_at - failure.observed_at >= timedelta(hours=1)

    await syncer.ask(integration_id, Trigger.FORCE)
    await syncer.settle()

    assert len(syncer.xai.calls) == 1
    assert (await syncer.window()).trigger == "force"


async def test_retry_after_holds_for_every_window_of_the_integration(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.ask(integration_id, Trigger.DAILY)
    syncer.xai.answers.append(ReadTransientError(Code.RATE_LIMITED, retry_after=3600))
    await syncer.settle()
    first = (await syncer.recent()).first

    await syncer.ask(integration_id, Trigger.FORCE, Days(first - timedelta(days=20), first))
    await syncer.settle()

    assert len(syncer.xai.calls) == 1


async def test_a_new_key_does_not_shorten_retry_after_either(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.ask(integration_id, Trigger.DAILY)
    syncer.xai.answers.append(ReadTransientError(Code.RATE_LIMITED, retry_after=3600))
    await syncer.settle()

    await syncer.announce(await syncer.state(integration_id, version=2, credential_version=2))
    await syncer.seal(integration_id, version=2)
    await syncer.settle()

    assert len(syncer.xai.calls) == 1


async def test_a_force_sync_ends_the_pause_between_attempts(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.ask(integration_id, Trigger.DAILY)
    syncer.xai.answers.append(ReadTransientError(Code.XAI_UNAVAILABLE))
    await syncer.settle()
    await syncer.sql("UPDATE windows SET due_at = clock_timestamp() + interval '15 minutes'")

    await syncer.ask(integration_id, Trigger.FORCE)
    await syncer.settle()

    assert len(syncer.readings()) == 1


async def test_a_revoked_key_stops_the_calls_and_ends_what_is_open(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    for before in range(3):
        day = days.last - timedelta(days=before)
        await syncer.ask(integration_id, Trigger.DAILY, Days(day, day))
    syncer.xai.answers.append(ReadRefusedError(Code.KEY_REFUSED))

    await syncer.settle()

    failures = syncer.failures()
    assert len(syncer.xai.calls) == 1
    assert [(one.code, one.final) for one in failures] == [("key_refused", True)] * 3
    assert sorted(one.attempts for one in failures) == [0, 0, 1]
    assert [one.credential_version for one in failures if one.observed_at] == [1]
    assert (await syncer.row_of(integration_id)).refused_code == "key_refused"


async def test_a_refusal_of_an_older_key_marks_nothing_and_the_newer_is_used_at_once(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()

    async def replace() -> None:
        syncer.xai.meanwhile = None
        await syncer.announce(await syncer.state(integration_id, version=2, credential_version=2))
        await syncer.seal(integration_id, version=2)

    syncer.xai.meanwhile = replace
    syncer.xai.answers.append(ReadRefusedError(Code.KEY_REFUSED))
    await syncer.ask(integration_id, Trigger.FORCE, days)
    await syncer.settle()

    assert syncer.failures() == []
    assert [version for _, version, _ in syncer.xai.calls][:2] == [1, 2]
    assert (await syncer.row_of(integration_id)).refused_code is None


async def test_a_success_clears_the_refusal_and_reads_up_to_today(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    syncer.xai.answers.append(ReadRefusedError(Code.ACCESS_DENIED))
    await syncer.ask(integration_id)
    await syncer.settle()

    await syncer.ask(integration_id, Trigger.FORCE, Days(days.first, days.first))
    await syncer.settle()
    await syncer.make_all_due()
    await syncer.settle()

    first, second = syncer.readings()
    assert (first.first_day, first.last_day) == (days.first, days.first)
    assert second.last_day == first.observed_at.date()
    assert second.trigger is Trigger.DAILY
    assert (await syncer.row_of(integration_id)).refused_code is None


async def test_an_answer_that_is_cut_everywhere_still_clears_the_refusal(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    syncer.xai.answers.extend([ReadRefusedError(Code.KEY_REFUSED), lambda asked: reading_of(asked, cut=[days.last])])
    await syncer.ask(integration_id)
    await syncer.settle()

    await syncer.ask(integration_id, Trigger.FORCE, Days(days.last, days.last))
    await syncer.settle()

    assert syncer.failures()[-1].code == "answer_cut"
    assert (await syncer.row_of(integration_id)).refused_code is None


async def test_a_newer_key_clears_the_refusal_and_reads_up_to_today(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    syncer.xai.answers.append(ReadRefusedError(Code.KEY_REFUSED))
    await syncer.ask(integration_id)
    await syncer.settle()

    await syncer.announce(await syncer.state(integration_id, version=2, credential_version=2))
    await syncer.seal(integration_id, version=2)
    await syncer.settle()

    (window,) = syncer.readings()
    assert window.last_day == window.observed_at.date()
    assert (window.credential_version, window.trigger) == (2, Trigger.DAILY)


async def test_a_second_refusal_keeps_the_day_of_the_first(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    syncer.xai.answers.extend([ReadRefusedError(Code.KEY_REFUSED), ReadRefusedError(Code.ACCESS_DENIED)])
    await syncer.ask(integration_id)
    await syncer.settle()
    before = await syncer.row_of(integration_id)

    await syncer.ask(integration_id)
    await syncer.settle()

    after = await syncer.row_of(integration_id)
    assert (after.refused_since, after.refused_code) == (before.refused_since, "access_denied")


async def test_a_malformed_call_ends_its_window_only(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    syncer.xai.answers.append(ReadError(Code.TEAM_MALFORMED))
    await syncer.ask(integration_id, Trigger.FORCE, days)
    await syncer.ask(integration_id, Trigger.HEAL, Days(days.first - timedelta(days=1), days.first))

    await syncer.settle()

    (failure,) = syncer.failures()
    assert (failure.code, failure.final) == ("team_malformed", True)
    assert len(syncer.readings()) == 1
    assert (await syncer.row_of(integration_id)).refused_code is None


async def test_days_that_are_no_longer_readable_cause_no_call(syncer: SyncerHarness) -> None:
    integration_id, today = await syncer.integration(), await syncer.today()

    await syncer.ask(integration_id, Trigger.FORCE, Days(today - timedelta(days=200), today - timedelta(days=100)))
    await syncer.settle()

    (failure,) = syncer.failures()
    assert (failure.code, failure.final, failure.observed_at) == ("out_of_range", True, None)
    assert syncer.xai.calls == []


async def test_an_answer_without_a_whole_day_ends_as_cut(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    syncer.xai.answers.append(lambda asked: reading_of(asked, cut=[days.first]))

    await syncer.ask(integration_id, Trigger.FORCE, Days(days.first, days.first))
    await syncer.settle()

    (failure,) = syncer.failures()
    assert (failure.code, failure.final) == ("answer_cut", True)
    assert failure.observed_at is not None
    assert syncer.readings() == []


@pytest.mark.parametrize("fails", [True, False])
async def test_an_answer_after_the_removal_is_dropped(syncer: SyncerHarness, *, fails: bool) -> None:
    integration_id = await syncer.integration()
    if fails:
        syncer.xai.answers.append(ReadTransientError(Code.XAI_UNAVAILABLE))
    syncer.xai.meanwhile = lambda: syncer.remove(integration_id)

    await syncer.ask(integration_id)
    await syncer.settle()

    assert [(one.code, one.final) for one in syncer.failures()] == [("not_found", True)]
    assert syncer.readings() == []
    assert await syncer.sql("SELECT * FROM raw_answers") == []
