"""What each message changes."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from common.errors import TransientError
from common.metrics import REQUESTS_IGNORED
from contract.cloudevents import Event, MalformedError, Tombstone
from contract.fields import Plan, Status, Trigger
from contract.messages import CredentialSealed, Message
from contract.problems import Code
from sqlalchemy.ext.asyncio import AsyncConnection
from syncer import requests
from syncer.domain import Days, backfill
from syncer.handlers import Handlers
from syncer.requests import Request

from tests.support.messages import ACCOUNT, OTHER_PARENT, PARENT, credential_sealed, sync_requested
from tests.support.waiting import until
from tests.syncer.support.claims import claim_one
from tests.syncer.support.syncer import SyncerHarness

OLD = timedelta(days=7, seconds=1)


@pytest.mark.parametrize(("plan", "starts"), [(Plan.FREE, [0]), (Plan.PRO, [0, 30, 60])])
async def test_a_new_integration_queues_the_backfill_of_its_plan(
    syncer: SyncerHarness, plan: Plan, starts: list[int]
) -> None:
    integration_id = uuid4()

    await syncer.announce(await syncer.state(integration_id, plan=plan))

    windows = await syncer.windows()
    newest = windows[0].created_at.date()
    assert [(one.first_day, one.last_day) for one in windows] == [
        (newest - timedelta(days=before + 29), newest - timedelta(days=before)) for before in starts
    ]
    assert {one.request_id for one in await syncer.requests()} == {
        f"backfill:{integration_id}:1:{one.first_day}" for one in windows
    }


async def test_states_that_arrive_together_queue_what_each_makes_due_under_its_own_trace(syncer: SyncerHarness) -> None:
    now, states = datetime.now(UTC), [await syncer.state(uuid4()) for _ in range(2)]

    await syncer.handlers.integrations(
        [Event(state, "any", now, trace) for state, trace in zip(states, (PARENT, OTHER_PARENT), strict=True)]
    )

    found = {one.integration_id: one.traceparent for one in await syncer.windows()}
    assert found == {states[0].integration_id: PARENT, states[1].integration_id: OTHER_PARENT}


async def test_the_worker_is_woken_by_what_can_be_due_and_by_nothing_else(syncer: SyncerHarness) -> None:
    woken = list[str]()
    handlers = Handlers(syncer.database, lambda: woken.append("worker"), lambda: woken.append("healer"))
    state = await syncer.state(uuid4(), status=Status.BACKFILLING)
    now = datetime.now(UTC)

    async def wakes(message: Message) -> list[str]:
        woken.clear()
        handle = handlers.credentials if isinstance(message, CredentialSealed) else handlers.integrations
        await handle([Event(message, "any", now)])
        return woken

    first = credential_sealed(state.integration_id)
    second = first.model_copy(update={"credential_version": 2})
    active = state.model_copy(update={"version": 2, "status": Status.ACTIVE})
    assert await wakes(first) == [], "there is nothing to read with the key yet"
    assert await wakes(state) == ["worker"]
    assert await wakes(active) == []
    assert await wakes(second) == ["worker"]
    assert await wakes(active.model_copy(update={"version": 3, "credential_version": 2})) == ["worker", "healer"]


async def test_a_state_that_comes_again_changes_nothing(syncer: SyncerHarness) -> None:
    state = await syncer.state(uuid4())
    await syncer.announce(state)
    before = await syncer.windows(), await syncer.requests()

    await syncer.announce(state)

    assert (await syncer.windows(), await syncer.requests()) == before


DUPLICATE = {"status": Status.ERROR, "status_code": Code.ALREADY_CONNECTED}


async def test_a_second_integration_of_a_team_is_not_read(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.ask(integration_id, Trigger.DAILY)

    await syncer.announce(await syncer.state(integration_id, version=2, **DUPLICATE))
    await syncer.ask(integration_id, Trigger.FORCE)
    await syncer.ask(None, Trigger.DAILY)
    await syncer.settle()

    assert syncer.xai.calls == []
    assert {failed.code for failed in syncer.failures()} == {"not_found"}
    assert await syncer.sql("SELECT 1 FROM credentials") == []


async def test_a_second_integration_that_a_former_version_took_for_active_is_not_read_once_announced_again(
    syncer: SyncerHarness,
) -> None:
    state = await syncer.state(uuid4(), version=2, **DUPLICATE)
    await syncer.announce(state.model_copy(update={"status_code": None}))
    assert await syncer.windows() != []

    await syncer.announce(state)
    await syncer.settle()

    assert syncer.xai.calls == []


async def test_limits_compare_teams_however_older_records_write_them(syncer: SyncerHarness) -> None:
    team = uuid4()
    written = [str(team), str(team).upper(), team.hex]

    ids = [await syncer.integration(team_id=text) for text in written]

    assert {(await syncer.row_of(one)).team_id for one in ids} == {str(team)}


async def test_an_older_state_is_ignored(syncer: SyncerHarness) -> None:
    integration_id = uuid4()
    await syncer.announce(await syncer.state(integration_id, version=5, team_id="new"))

    await syncer.announce(await syncer.state(integration_id, version=4, team_id="old"))

    assert (await syncer.row_of(integration_id)).team_id == "new"


async def test_a_change_of_name_queues_nothing(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()

    await syncer.announce(await syncer.state(integration_id, version=2, label="Renamed"))

    assert await syncer.windows() == []


async def test_an_upgrade_fills_in_what_the_better_plan_promises(syncer: SyncerHarness) -> None:
    integration_id, today = uuid4(), await syncer.today()
    free = {"plan": Plan.FREE, "history_from": today - timedelta(days=29)}
    await syncer.announce(await syncer.state(integration_id, **free))

    await syncer.announce(await syncer.state(integration_id, version=2, plan=Plan.PRO))

    fresh = [
        one.request_id for one in await syncer.requests() if one.request_id.startswith(f"backfill:{integration_id}:2:")
    ]
    assert len(fresh) == 3


async def test_an_integration_that_comes_back_is_filled_in_again(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.remove(integration_id)

    await syncer.announce(await syncer.state(integration_id, version=3, credential_version=2))

    assert len(await syncer.windows()) == 3
    assert all(one.request_id.startswith(f"backfill:{integration_id}:3:") for one in await syncer.requests())


async def test_removal_ends_what_is_open_and_drops_the_key(syncer: SyncerHarness) -> None:
    integration_id = uuid4()
    await syncer.announce(await syncer.state(integration_id))
    await syncer.seal(integration_id)

    await syncer.remove(integration_id)
    await syncer.settle()

    assert syncer.xai.calls == []
    failures = syncer.failures()
    assert [(one.code, one.final, one.observed_at) for one in failures] == [("not_found", True, None)] * 3
    assert await syncer.sql("SELECT * FROM credentials") == []


async def test_a_key_that_arrives_after_the_removal_is_not_stored(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.remove(integration_id)

    await syncer.seal(integration_id)

    assert await syncer.sql("SELECT * FROM credentials") == []


async def test_erasing_leaves_no_answer_of_xai_behind(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.ask(integration_id)
    await syncer.settle()
    assert await syncer.sql("SELECT * FROM raw_answers")

    await syncer.remove(integration_id, history="erase")

    assert await syncer.sql("SELECT * FROM raw_answers") == []
    assert await syncer.sql("SELECT * FROM coverage") == []


async def test_the_newest_pair_of_key_and_wrap_is_kept(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    for version, wrap in ((2, 1), (2, 3), (2, 2), (1, 9)):
        await syncer.seal(integration_id, version, wrap)

    (kept,) = await syncer.sql("SELECT credential_version, wrap_version, envelope FROM credentials")

    assert (kept.credential_version, kept.wrap_version, kept.envelope["wrap"]) == (2, 3, "3")


@pytest.mark.parametrize(("version", "left"), [("1", 1), ("2", 0), ("3", 0)])
async def test_a_tombstone_below_the_key_that_is_held_is_ignored(
    syncer: SyncerHarness, version: str, left: int
) -> None:
    integration_id = await syncer.integration()
    await syncer.seal(integration_id, version=2)

    await syncer.handlers.credential(_tombstone(str(integration_id), version))

    assert len(await syncer.sql("SELECT * FROM credentials")) == left


@pytest.mark.parametrize(("key", "version"), [("no-uuid", "1"), (str(UUID(int=1)), "one")])
async def test_a_tombstone_without_a_valid_key_or_version_is_malformed(
    syncer: SyncerHarness, key: str, version: str
) -> None:
    with pytest.raises(MalformedError):
        await syncer.handlers.credential(_tombstone(key, version))


def _tombstone(key: str, version: str) -> Event[Tombstone]:
    return Event(Tombstone(key=key, headers={"credential_version": version}), "", datetime.now(UTC))


@pytest.mark.parametrize("trigger", [Trigger.DAILY, Trigger.FORCE, Trigger.VISIT])
async def test_a_request_without_a_range_covers_the_seven_days_before_today_and_today(
    syncer: SyncerHarness, trigger: Trigger
) -> None:
    await syncer.ask(await syncer.integration(), trigger)

    window = await syncer.window()

    assert window.last_day == window.created_at.date()
    assert (window.last_day - window.first_day).days == 7


async def test_a_request_before_its_integration_waits_and_is_placed(syncer: SyncerHarness) -> None:
    integration_id = uuid4()
    request_id = await syncer.ask(integration_id)
    assert await syncer.windows() == []

    await syncer.announce(await syncer.state(integration_id))

    (placed,) = [one for one in await syncer.requests() if one.request_id == request_id]
    (window,) = [one for one in await syncer.windows() if one.window_id == placed.window_id]
    assert window.trigger == "force"


async def test_a_request_for_a_removed_integration_ends_at_once(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.remove(integration_id)

    request_id = await syncer.ask(integration_id)
    await syncer.settle()

    (failure,) = syncer.failures()
    assert (failure.code, failure.final, failure.request_ids) == ("not_found", True, (request_id,))


async def test_a_request_is_taken_once(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.ask(integration_id, request_id="same")
    await syncer.settle()

    await syncer.ask(integration_id, request_id="same")
    await syncer.settle()

    assert len(syncer.xai.calls) == 1


async def test_a_request_joins_an_open_window_that_covers_its_days(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    first = await syncer.ask(integration_id, Trigger.HEAL, days)

    second = await syncer.ask(integration_id, Trigger.DAILY, Days(days.last, days.last))
    await syncer.settle()

    (window,) = syncer.readings()
    assert window.request_ids == (first, second)
    assert window.trigger is Trigger.DAILY
    assert len(syncer.xai.calls) == 1


async def test_a_request_for_more_days_opens_a_window_of_its_own(syncer: SyncerHarness) -> None:
    integration_id, days = await syncer.integration(), await syncer.recent()
    await syncer.ask(integration_id, Trigger.HEAL, Days(days.first, days.last - timedelta(days=1)))

    await syncer.ask(integration_id, Trigger.HEAL, days)

    assert len(await syncer.windows()) == 2


async def test_no_window_answers_more_requests_than_its_outcome_can_name(
    syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.requests.MAX_REQUESTS", 2)
    integration_id, days = await syncer.integration(), await syncer.recent()

    for _ in range(3):
        await syncer.ask(integration_id, Trigger.VISIT, days)

    assert len(await syncer.windows()) == 2


@pytest.mark.parametrize(("age", "code"), [(OLD, "expired"), (-timedelta(hours=1, seconds=1), "request_malformed")])
async def test_a_request_from_over_a_week_ago_or_from_the_future_ends_without_a_call(
    syncer: SyncerHarness, age: timedelta, code: str
) -> None:
    integration_id, requested_at = await syncer.integration(), datetime.now(UTC) - age

    request_id = await syncer.ask(integration_id, Trigger.DAILY, requested_at=requested_at)
    await syncer.request_ends.round()
    await syncer.settle()

    (failure,) = syncer.failures()
    assert (failure.code, failure.final, failure.attempts, failure.observed_at) == (code, True, 0, None)
    assert (failure.account_id, failure.request_ids, failure.trigger) == (ACCOUNT, (request_id,), Trigger.DAILY)
    assert syncer.publisher.published[0].event_id == f"{integration_id}:{request_id}:{code}"
    assert syncer.xai.calls == []


async def test_an_expired_request_that_is_replayed_is_neither_read_nor_ended_again(syncer: SyncerHarness) -> None:
    integration_id, requested_at = await syncer.integration(), datetime.now(UTC) - OLD
    for _ in range(3):
        await syncer.ask(integration_id, request_id="old", requested_at=requested_at)
        await syncer.request_ends.round()
    await syncer.settle()

    assert len(syncer.publisher.published) == 1
    assert syncer.xai.calls == []


async def test_an_expired_request_ends_after_its_row_was_deleted_as_the_same_event(syncer: SyncerHarness) -> None:
    integration_id, requested_at = await syncer.integration(), datetime.now(UTC) - OLD
    for _ in range(2):
        await syncer.ask(integration_id, request_id="old", requested_at=requested_at)
        await syncer.request_ends.round()
        await syncer.sql("TRUNCATE requests")

    first, second = syncer.publisher.published
    assert first == second


async def test_a_request_that_was_read_in_time_does_not_expire_when_it_is_replayed(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.ask(integration_id, request_id="same")
    await syncer.settle()

    await syncer.ask(integration_id, request_id="same", requested_at=datetime.now(UTC) - OLD)
    await syncer.request_ends.round()

    assert syncer.failures() == []


@pytest.mark.parametrize("record", [datetime(1970, 1, 1, tzinfo=UTC), datetime.now(UTC) - timedelta(days=8)])
async def test_the_time_of_the_record_does_not_count(syncer: SyncerHarness, record: datetime) -> None:
    request = sync_requested(await syncer.integration())

    await syncer.handlers.sync_requested(Event(request, "any", record))
    await syncer.settle()

    assert [one.request_ids for one in syncer.readings()] == [(request.request_id,)]


async def test_the_first_instant_of_the_calendar_is_a_request_like_any_other(syncer: SyncerHarness) -> None:
    await syncer.ask(await syncer.integration(), requested_at=datetime.min.replace(tzinfo=UTC))
    await syncer.request_ends.round()

    assert [one.code for one in syncer.failures()] == ["expired"]


@pytest.mark.parametrize("age", [OLD, -timedelta(hours=1, seconds=1)])
async def test_a_request_for_all_from_over_a_week_ago_or_from_the_future_is_ignored_and_counted(
    syncer: SyncerHarness, age: timedelta
) -> None:
    await syncer.integration()
    before = REQUESTS_IGNORED._value.get()  # noqa: SLF001 - the client has no other way to read it

    await syncer.ask(None, Trigger.DAILY, requested_at=datetime.now(UTC) - age)

    assert await syncer.requests() == []
    assert REQUESTS_IGNORED._value.get() == before + 1  # noqa: SLF001 - as above


async def test_a_thousand_requests_at_once_share_two_windows(syncer: SyncerHarness) -> None:
    """As many as fit into an outcome, and the rest."""
    integration_id = await syncer.integration()
    events = [Event(sync_requested(integration_id), str(number), datetime.now(UTC)) for number in range(1001)]

    async with syncer.working():
        await syncer.handlers.sync_requests(events)
    await syncer.settle()

    assert sorted(len(one.request_ids) for one in syncer.readings()) == [1, 1000]
    assert len(syncer.xai.calls) == 2


async def test_requests_that_come_while_a_window_is_read_share_the_next_one(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await syncer.ask(integration_id)
    claim = await claim_one(syncer.attempt, "")
    assert claim is not None

    later = [await syncer.ask(integration_id) for _ in range(5)]
    await syncer.attempt.run(claim)
    async with syncer.working():
        later += [await syncer.ask(integration_id) for _ in range(5)]
    await syncer.make_all_due()
    await syncer.settle()

    assert [len(one.request_ids) for one in syncer.readings()] == [1, 10]
    assert set(syncer.readings()[1].request_ids) == set(later)


async def test_the_daily_run_reaches_every_active_integration(syncer: SyncerHarness) -> None:
    active = {await syncer.integration() for _ in range(3)}
    await syncer.remove(await syncer.integration())

    await syncer.ask(None, Trigger.DAILY)

    assert {one.integration_id for one in await syncer.windows()} == active


async def test_the_daily_run_reads_one_integration_of_each_account_before_the_second_of_any(
    syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.handlers.AT_ONCE", 2)
    accounts = {await syncer.integration(account_id="large"): "large" for _ in range(6)}
    accounts |= {await syncer.integration(account_id="medium"): "medium" for _ in range(2)}
    accounts |= {await syncer.integration(account_id="small"): "small"}

    await syncer.ask(None, Trigger.DAILY)
    order = [accounts[claim.integration_id] for _ in accounts if (claim := await claim_one(syncer.attempt, ""))]

    assert sorted(order[:3]) == ["large", "medium", "small"]
    assert sorted(order[3:5]) == ["large", "medium"]
    assert order[5:] == ["large"] * 4


async def test_the_backfills_of_a_large_account_do_not_stand_before_those_of_a_small_one(syncer: SyncerHarness) -> None:
    today = await syncer.today()
    first = {f"large {number}": await syncer.integration(account_id="large") for number in range(3)}
    first |= {"small": await syncer.integration(account_id="small")}
    for integration_id in first.values():
        for days in backfill(Plan.PRO, today):
            await syncer.ask(integration_id, Trigger.BACKFILL, days)

    order = list[tuple[str, date]]()
    names = {integration_id: name for name, integration_id in first.items()}
    while claim := await claim_one(syncer.attempt, ""):
        order.append((names[claim.integration_id].split()[0], claim.days.last))
        await syncer.attempt.run(claim)

    ends = [days.last for days in backfill(Plan.PRO, today)]
    assert order.index(("small", ends[0])) <= 1
    assert order.index(("small", ends[-1])) < 8  # of 12
    assert [last for account, last in order if account == "small"] == ends


async def test_a_request_for_all_that_was_interrupted_reaches_those_that_are_left(
    syncer: SyncerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.handlers.AT_ONCE", 2)
    active = {await syncer.integration() for _ in range(5)}
    real, parts = requests.take_for_some, list[int]()

    async def interrupted(connection: AsyncConnection, request: Request, ids: Sequence[UUID], at: datetime) -> None:
        parts.append(len(ids))
        if len(parts) == 2:
            raise TransientError
        await real(connection, request, ids, at)

    monkeypatch.setattr(requests, "take_for_some", interrupted)
    with pytest.raises(TransientError):
        await syncer.ask(None, Trigger.DAILY, request_id="daily:1")
    for _ in range(2):
        await syncer.ask(None, Trigger.DAILY, request_id="daily:1")

    assert parts == [2, 2, 2, 1]
    assert len(await syncer.requests()) == 5
    assert {one.integration_id for one in await syncer.windows()} == active
    assert len(await syncer.windows()) == 5


async def test_a_refused_key_is_tried_when_a_person_asks(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await _refused(syncer, integration_id, days_ago=30)

    await syncer.ask(integration_id, Trigger.FORCE)
    async with syncer.working():
        await until(lambda: syncer.xai.calls)


async def test_a_daily_run_a_week_after_the_refusal_ends_at_once_with_its_code(syncer: SyncerHarness) -> None:
    integration_id = await syncer.integration()
    await _refused(syncer, integration_id, days_ago=8)

    await syncer.ask(integration_id, Trigger.DAILY)
    await syncer.settle()

    (failure,) = syncer.failures()
    assert (failure.code, failure.final, failure.observed_at) == ("access_denied", True, None)
    assert syncer.xai.calls == []


async def _refused(syncer: SyncerHarness, integration_id: UUID, days_ago: int) -> None:
    await syncer.sql(
        """UPDATE integrations SET refused_code = 'access_denied',
           refused_since = clock_timestamp() - make_interval(days => :days) WHERE integration_id = :id""",
        id=integration_id,
        days=days_ago,
    )


async def test_a_replayed_request_for_all_leaves_out_integrations_that_were_added_later(syncer: SyncerHarness) -> None:
    former = await syncer.integration()
    before, now = datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC)
    later = await syncer.state(uuid4(), added_at=now)
    await syncer.announce(later)

    await syncer.ask(None, Trigger.DAILY, requested_at=before)
    await syncer.ask(None, Trigger.DAILY)

    taken = [row.integration_id for row in await syncer.requests() if row.trigger == "daily"]
    assert sorted(taken, key=str) == sorted([former, former, later.integration_id], key=str)
