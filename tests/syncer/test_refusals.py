"""One refusal of a key that worked is a hiccup; the second one counts."""

from datetime import timedelta
from uuid import UUID

from contract.fields import Trigger
from contract.problems import Code
from syncer.domain import Days
from syncer.provider import ReadRefusedError

from tests.syncer.support.syncer import SyncerHarness

REFUSED = ReadRefusedError(Code.KEY_REFUSED)


async def test_a_first_refusal_of_a_team_that_was_read_before_is_asked_again_after_a_minute(
    syncer: SyncerHarness,
) -> None:
    integration_id = await _read_before(syncer)
    syncer.xai.answers.append(REFUSED)
    request_id = await syncer.ask(integration_id)
    await syncer.settle()
    window = (await syncer.windows())[-1]
    assert timedelta(seconds=55) < window.due_at - window.created_at < timedelta(seconds=65)

    await _pass_the_minute(syncer)

    assert syncer.failures() == []
    assert syncer.readings()[-1].request_ids == (request_id,)
    assert (await syncer.row_of(integration_id)).refused_code is None


async def test_a_second_refusal_after_a_minute_counts(syncer: SyncerHarness) -> None:
    integration_id = await _read_before(syncer)
    syncer.xai.answers.extend([REFUSED, REFUSED])
    await syncer.ask(integration_id)
    await syncer.settle()

    await _pass_the_minute(syncer)

    (failure,) = syncer.failures()
    assert (failure.code, failure.final, failure.attempts) == ("key_refused", True, 2)
    assert (await syncer.row_of(integration_id)).refused_code == "key_refused"


async def test_a_person_who_asks_within_the_minute_makes_no_second_refusal_of_it(syncer: SyncerHarness) -> None:
    integration_id = await _read_before(syncer)
    syncer.xai.answers.extend([REFUSED, REFUSED])
    for _ in range(2):
        await syncer.ask(integration_id)
        await syncer.settle()

    assert len(syncer.xai.calls) == 3
    assert syncer.failures() == []


async def test_the_other_windows_of_the_integration_wait_for_the_minute_as_well(syncer: SyncerHarness) -> None:
    integration_id, days = await _read_before(syncer), await syncer.recent()
    syncer.xai.answers.append(REFUSED)
    await syncer.ask(integration_id, Trigger.DAILY)
    await syncer.ask(integration_id, Trigger.HEAL, Days(days.first - timedelta(days=9), days.first))
    await syncer.settle()

    assert len(syncer.xai.calls) == 2


async def test_when_the_key_is_accepted_nothing_waits_for_the_minute_any_more(syncer: SyncerHarness) -> None:
    integration_id, days = await _read_before(syncer), await syncer.recent()
    older = Days(days.first - timedelta(days=9), days.first)
    syncer.xai.answers.append(REFUSED)
    await syncer.ask(integration_id, Trigger.HEAL, older)
    await syncer.settle()

    await syncer.ask(integration_id)
    await syncer.settle()

    assert [Days(one.first_day, one.last_day) for one in syncer.readings()[1:]] == [days, older]
    assert (await syncer.row_of(integration_id)).refused_once_at is None


async def test_refusals_with_a_success_between_them_are_all_the_first(syncer: SyncerHarness) -> None:
    integration_id = await _read_before(syncer)
    for _ in range(3):
        syncer.xai.answers.append(REFUSED)
        await syncer.ask(integration_id)
        await syncer.settle()
        await _pass_the_minute(syncer)

    assert syncer.failures() == []
    assert len(syncer.readings()) == 4


async def test_a_new_key_does_not_wait_for_the_minute(syncer: SyncerHarness) -> None:
    integration_id = await _read_before(syncer)
    syncer.xai.answers.append(REFUSED)
    await syncer.ask(integration_id)
    await syncer.settle()

    await syncer.announce(await syncer.state(integration_id, version=2, credential_version=2))
    await syncer.seal(integration_id, version=2)
    await syncer.settle()

    assert syncer.readings()[-1].credential_version == 2


async def _read_before(syncer: SyncerHarness) -> UUID:
    integration_id = await syncer.integration()
    await syncer.ask(integration_id)
    await syncer.settle()
    assert len(syncer.xai.calls) == 1
    return integration_id


async def _pass_the_minute(syncer: SyncerHarness) -> None:
    await syncer.sql("UPDATE integrations SET refused_once_at = refused_once_at - interval '1 minute'")
    await syncer.make_all_due()
    await syncer.settle()
