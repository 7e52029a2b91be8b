"""From a claimed window to its published costs: readings, crashes, and windows that need no call."""

import hashlib
import zlib
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from contract.cloudevents import Event
from contract.fields import Trigger
from contract.tracing import tracing
from syncer.domain import Days

from tests.support.messages import OTHER_PARENT, PARENT, now, sync_requested
from tests.support.waiting import until
from tests.syncer.support.provider import RAW, dates_of, reading_of
from tests.syncer.support.syncer import SyncerHarness


async def test_a_reading_is_published_day_by_day_and_then_its_window(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    request_id = await syncer.ask(integration_id, Trigger.FORCE, days)

    await syncer.settle()

    *recorded, last = syncer.publisher.published
    (window,) = syncer.readings()
    costs = [record.message for record in recorded]
    assert last.type == "WindowRead"
    assert {one.day: one.usd for one in costs} == window.totals
    assert sorted(window.totals) == [days.first + timedelta(days=n) for n in range(8)]
    assert {one.reading_id for one in costs} == {window.reading_id}
    assert window.request_ids == (request_id,)
    assert {one.event_id for one in recorded} == {f"{window.reading_id}:{day}" for day in window.totals}
    assert last.event_id == f"{window.reading_id}:window"
    assert {one.key for one in syncer.publisher.published} == {str(integration_id)}


async def test_the_answer_is_kept_as_it_came_compressed_with_its_hash(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())

    await syncer.settle()

    (raw,) = await syncer.sql("SELECT * FROM raw_answers")
    assert zlib.decompress(raw.body) == RAW
    assert raw.sha256 == hashlib.sha256(RAW).digest()
    assert raw.reading_id == syncer.readings()[0].reading_id
    assert [answer.sha256 for answer in syncer.readings()[0].answers or ()] == [raw.sha256.hex()]


async def test_a_window_that_takes_several_batches_is_published_only_after_all_of_its_days_are_acknowledged(
    syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.kafka.publisher.MAX_BATCH_BYTES", 1_000)
    await syncer.ask(await syncer.integration())
    syncer.publisher.refuses = lambda _: not syncer.publisher.refused

    async with syncer.working():
        await until(lambda: len(syncer.publisher.published + syncer.publisher.refused) == 8)

    assert syncer.readings() == []


async def test_the_decision_of_a_dead_process_is_published_byte_for_byte_without_another_call(
    syncer: SyncerHarness,
) -> None:
    await syncer.ask(await syncer.integration())
    syncer.publisher.available(available=False)
    async with syncer.working():
        await until(lambda: len(syncer.publisher.refused) == 9)

    syncer.publisher.available()
    await syncer.expire_leases()
    await syncer.settle()

    assert len(syncer.xai.calls) == 1
    assert set(syncer.publisher.published) == set(syncer.publisher.refused)
    assert (await syncer.window()).closed_at is not None


@pytest.mark.parametrize("taken", [3, 8, 9])
async def test_a_crash_while_publishing_leaves_only_identical_copies(syncer: SyncerHarness, taken: int) -> None:
    await syncer.ask(await syncer.integration())
    decided = await syncer.crash_after_publishing(taken)

    await syncer.expire_leases()
    await syncer.settle()

    assert len(syncer.xai.calls) == 1
    assert len(syncer.publisher.published) == taken + 9
    assert set(syncer.publisher.published) == decided


async def test_a_decision_from_before_the_removal_is_published(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.ask(integration_id)
    decided = await syncer.crash_after_publishing(3)
    await syncer.expire_leases()

    await syncer.remove(integration_id)
    await syncer.settle()

    assert set(syncer.publisher.published) == decided


async def test_a_bug_waits_as_an_outage_does_and_causes_one_call(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration())
    syncer.xai.answers.append(RuntimeError("an unknown bug"))

    await syncer.settle()

    window = await syncer.window()
    assert (window.attempts, window.code, window.closed_at) == (1, "internal", None)
    assert len(syncer.xai.calls) == 1
    await syncer.make_all_due()
    await syncer.settle()
    assert (await syncer.window()).closed_at is not None


async def test_a_day_that_is_cut_is_left_out_and_the_others_are_published(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    syncer.xai.answers.append(lambda asked: reading_of(asked, cut=[days.last]))
    await syncer.ask(integration_id, Trigger.FORCE, days)

    await syncer.settle()

    (window,) = syncer.readings()
    assert (window.first_day, window.last_day) == (days.first, days.last)
    assert days.last not in window.totals
    assert len(window.totals) == 7


async def test_a_range_is_cut_to_the_readable_days(syncer: SyncerHarness) -> None:
    integration_id, today = await syncer.integration(), await syncer.today()

    await syncer.ask(integration_id, Trigger.FORCE, Days(today - timedelta(days=400), today + timedelta(days=400)))
    await syncer.settle()

    (window,) = syncer.readings()
    assert window.last_day == window.observed_at.date()
    assert (window.last_day - window.first_day).days == 89


@pytest.mark.parametrize("wide", [True, False])
async def test_a_visit_soon_after_a_reading_makes_no_call_unless_others_need_it(
    syncer: SyncerHarness, *, wide: bool
) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    await syncer.ask(integration_id, Trigger.FORCE, days)
    await syncer.settle()

    month = Days(days.last - timedelta(days=29), days.last)
    if wide:
        await syncer.ask(integration_id, Trigger.BACKFILL, month)
    await syncer.ask(integration_id, Trigger.VISIT, days)
    await syncer.settle()

    assert len(syncer.xai.calls) == 1 + wide
    assert [one.code for one in syncer.failures()] == ([] if wide else ["fresh"])
    assert all(one.final and one.observed_at is None for one in syncer.failures())


async def test_days_that_xai_refuses_because_they_are_old_are_named_and_the_others_read(syncer: SyncerHarness) -> None:
    integration_id, today = await _read_before(syncer)
    since = today - timedelta(days=44)
    syncer.xai.refuses = lambda days: days.first < since

    await syncer.ask(integration_id, Trigger.BACKFILL, Days(today - timedelta(days=59), today - timedelta(days=30)))
    await syncer.settle()

    window = syncer.readings()[-1]
    assert (window.first_day, window.last_day) == (since, today - timedelta(days=30))
    assert window.beyond_xai_until == since - timedelta(days=1)
    assert sorted(window.totals) == dates_of(Days(since, today - timedelta(days=30)))
    assert syncer.failures() == []
    assert (await syncer.row_of(integration_id)).beyond_xai_until == since - timedelta(days=1)


async def test_a_window_that_is_refused_whole_ends_as_out_of_range(syncer: SyncerHarness) -> None:
    integration_id, today = await _read_before(syncer)
    old = Days(today - timedelta(days=89), today - timedelta(days=60))
    syncer.xai.refuses = lambda days: days.first < today - timedelta(days=44)

    await syncer.ask(integration_id, Trigger.BACKFILL, old)
    await syncer.settle()

    (failure,) = syncer.failures()
    assert (failure.code, failure.final, failure.last_day) == ("out_of_range", True, old.last)
    assert failure.observed_at is not None
    assert (await syncer.row_of(integration_id)).beyond_xai_until == old.last


async def test_refused_days_are_not_healed(syncer: SyncerHarness) -> None:
    integration_id, today = await _read_before(syncer)
    since = today - timedelta(days=44)
    await syncer.sql("UPDATE integrations SET beyond_xai_until = :day", day=since - timedelta(days=1))

    await syncer.healer.round()

    queued = await syncer.sql(
        "SELECT min(first_day) AS first FROM windows WHERE integration_id = :id", id=integration_id
    )
    assert queued[0].first == since


async def test_a_range_that_is_accepted_again_is_healed_again(syncer: SyncerHarness) -> None:
    integration_id, today = await _read_before(syncer)
    await syncer.sql("UPDATE integrations SET beyond_xai_until = :day", day=today - timedelta(days=45))
    first = today - timedelta(days=80)

    await syncer.ask(integration_id, Trigger.FORCE, Days(first, today))
    await syncer.settle()

    assert (await syncer.row_of(integration_id)).beyond_xai_until == first - timedelta(days=1)


async def test_a_400_for_everything_waits_like_an_outage(syncer: SyncerHarness) -> None:
    integration_id, _ = await _read_before(syncer)
    syncer.xai.refuses = lambda _: True
    await syncer.ask(integration_id)
    await syncer.settle()

    (failure,) = syncer.failures()
    assert (failure.code, failure.final, failure.next_attempt_at is None) == ("request_refused", False, False)
    syncer.xai.refuses = lambda _: False
    await syncer.make_all_due()
    await syncer.settle()
    assert len(syncer.readings()) == 2


async def test_a_400_for_everything_and_five_teams_opens_the_circuit(syncer: SyncerHarness) -> None:
    teams = [(await _read_before(syncer))[0] for _ in range(5)]
    syncer.xai.refuses = lambda _: True
    for team in teams:
        await syncer.ask(team)
    async with syncer.working():
        await until(lambda: len(syncer.failures()) == 5)

    assert not syncer.limits.may_claim()


async def test_a_400_at_the_first_reading_of_a_team_is_final(syncer: SyncerHarness) -> None:
    syncer.xai.refuses = lambda _: True
    await syncer.ask(await syncer.integration())
    await syncer.settle()

    (failure,) = syncer.failures()
    assert (failure.code, failure.final) == ("request_refused", True)
    assert len(syncer.xai.calls) == 2


async def _read_before(syncer: SyncerHarness) -> tuple[UUID, date]:
    """An integration that was read, and the day of that."""
    integration_id = await syncer.integration()
    await syncer.ask(integration_id)
    await syncer.settle()
    return integration_id, syncer.readings()[-1].observed_at.date()


async def test_a_reading_carries_the_trace_of_the_first_request_that_joined_its_window(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    for trace in (None, PARENT, OTHER_PARENT):
        with tracing(trace):
            await syncer.ask(integration_id, Trigger.FORCE, days)

    await syncer.settle()

    assert len(syncer.readings()[0].request_ids) == 3
    assert [one.headers.get("traceparent") for one in syncer.publisher.published] == [PARENT] * 9


async def test_a_request_keeps_its_trace_until_its_integration_is_known(syncer: SyncerHarness) -> None:
    """Its days lie in no window of the backfill, which has the trace of the integration."""
    state, days = await syncer.state(uuid4()), await syncer.recent()
    with tracing(PARENT):
        request_id = await syncer.ask(state.integration_id, days=Days(days.first - timedelta(days=40), days.last))
    with tracing(OTHER_PARENT):
        await syncer.announce(state)
    await syncer.seal(state.integration_id)

    await syncer.settle()

    traces = {one.message.request_ids[0]: one.headers["traceparent"] for one in syncer.publisher.of("WindowRead")}
    assert traces.pop(request_id) == PARENT
    assert set(traces.values()) == {OTHER_PARENT}


async def test_a_request_for_nobody_ends_under_its_trace(syncer: SyncerHarness) -> None:
    with tracing(PARENT):
        await syncer.ask(uuid4())
    await syncer.sql("UPDATE requests SET received_at = received_at - interval '11 minutes'")

    await syncer.request_ends.round()

    assert [one.headers["traceparent"] for one in syncer.publisher.of("SyncFailed")] == [PARENT]


async def test_a_request_with_a_trigger_of_a_later_version_is_read_last_and_keeps_it(syncer: SyncerHarness) -> None:
    days, last = await syncer.recent(), await syncer.integration()
    await syncer.ask(last, Trigger("made_later"), days)
    for trigger in Trigger:
        await syncer.ask(await syncer.integration(), trigger, days)

    await syncer.settle(in_flight=1)

    read = [integration_id for integration_id, *_ in syncer.xai.calls]
    assert (len(read), read[-1]) == (len(Trigger) + 1, last)
    assert [one.trigger for one in syncer.readings() if one.integration_id == last] == ["made_later"]


async def test_each_request_of_a_batch_has_its_own_trace(syncer: SyncerHarness) -> None:
    traces = {await syncer.integration(): trace for trace in (PARENT, None, OTHER_PARENT)}
    events = [Event(sync_requested(one), str(one), now(), trace) for one, trace in traces.items()]

    await syncer.handlers.sync_requests(events)
    await syncer.settle()

    read = syncer.publisher.of("WindowRead")
    assert {one.message.integration_id: one.headers.get("traceparent") for one in read} == traces
