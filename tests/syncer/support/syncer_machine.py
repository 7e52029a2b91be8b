"""The syncer as a whole against what must hold: with the ledger's answers, the healer, and time that passes and steps back."""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from contract.cloudevents import Event
from contract.fields import Trigger
from contract.messages import SyncFailed, WindowRead
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from syncer import leases
from syncer.domain import Days, heals, readable, urgency_of
from syncer.operations import queue
from syncer.requests import SHARED_FOR

from tests.support.messages import sync_completed
from tests.support.state_machines import Ends
from tests.syncer.support.incidents import MOSTLY_COMMITTED
from tests.syncer.support.provider import dates_of
from tests.syncer.support.queue_machine import TEAMS, QueueMachine

MIDNIGHT = time(tzinfo=UTC)
SPANS = tuple(
    timedelta(**one)
    for one in (
        {"microseconds": 1},
        {"seconds": 3},
        {"seconds": 21},
        {"minutes": 16},
        {"hours": 1},
        {"hours": -1},
        {"hours": 7},
        {"days": 1},
        {"days": 7},
    )
)


class SyncerMachine(QueueMachine):
    """After every step nothing is doubled or out of order; at a quiet end nothing is lost."""

    # time

    @rule(span=st.sampled_from(SPANS))
    def time_passes(self, span: timedelta) -> None:
        """Or the clock steps back."""
        self.run(self.stage.pass_time(span))
        now = self.run(self.stage.now())
        self.received = {key: min(at, now) for key, at in self.received.items()}

    @rule()
    def housekeeping_runs(self) -> None:
        for job in (self.syncer.housekeeping.repair_clock_steps, self.syncer.housekeeping.delete_expired):
            self.run(job())

    @rule()
    def the_workers_renew(self) -> None:
        self.run(self._renewed())

    # the ledger

    @precondition(lambda self: self.syncer.publisher.published)
    @rule(number=st.integers(0), doubtful=st.sets(st.integers(0, 9), max_size=3), ends=MOSTLY_COMMITTED)
    def the_ledger_answers(self, number: int, doubtful: set[int], ends: Ends) -> None:
        """Of any window that was ever published, early or late, once or often, reconciled or not."""
        if read := self.syncer.readings():
            self._confirmed(read[number % len(read)], doubtful, ends)

    def _confirmed(self, window: WindowRead, doubtful: set[int] = frozenset(), ends: Ends = Ends.COMMITTED) -> None:  # type: ignore[assignment]
        days = dates_of(Days(window.first_day, window.last_day))
        wrong = {day for place, day in enumerate(days) if place in doubtful or day not in window.totals}
        fields = window.model_dump(exclude={"totals"}) | {"reconciled": not wrong, "unreconciled_days": sorted(wrong)}
        completed = sync_completed(**fields)
        self.deliver(lambda: self.syncer.handlers.sync_completed(Event(completed, "any", window.observed_at)), ends)
        if self.gone(window.integration_id):
            return
        for day in days:
            kept = self.doubted if day in wrong else self.confirmed
            key = window.integration_id, day
            kept[key] = max(kept.get(key, window.observed_at), window.observed_at)

    # the healer

    @rule()
    def the_healer_runs(self) -> None:
        """It queues exactly the finished days that are unread and in no open window."""
        expected, before = self.run(self._unread()), {row.request_id for row in self.run(self.syncer.requests())}
        self.run(self.syncer.healer.round())
        fresh = {row.request_id for row in self.run(self.syncer.requests())} - before
        ids = {
            f"heal:{team}:{one.days.first}:{one.days.last}:{one.attempt}"
            for team, days in expected.items()
            for one in heals(days)
        }
        assert {":".join(one.split(":")[:5]) for one in fresh if one.startswith("heal:")} == ids

    async def _unread(self) -> dict[UUID, list[tuple[date, int]]]:
        """The healer's rule in plain Python, by what was confirmed according to the model."""
        now = await self.stage.now()
        found = defaultdict(list)
        for row in await self.syncer.sql("SELECT * FROM integrations WHERE NOT removed AND refused_code IS NULL"):
            team = row.integration_id
            notes = {
                one.day: one
                for one in await self.syncer.sql("SELECT * FROM coverage WHERE integration_id = :id", id=team)
            }
            busy = await self.syncer.sql(
                "SELECT * FROM windows WHERE integration_id = :id AND closed_at IS NULL", id=team
            )
            first = max(row.history_from, now.date() - timedelta(days=89))
            for day in dates_of(Days(first, now.date() - timedelta(days=1))):
                note = notes.get(day)
                if self._is_due(team, day, now, note) and not any(one.first_day <= day <= one.last_day for one in busy):
                    found[team].append((day, note.heals if note else 0))
        return found

    def _is_due(self, team: UUID, day: date, now: datetime, note: Any) -> bool:
        ends = datetime.combine(day, MIDNIGHT) + timedelta(days=1)
        read, doubted = self.confirmed.get((team, day)), self.doubted.get((team, day))
        missed = (read is None or read < ends) and now >= ends + timedelta(hours=7)
        settled = read is not None and read < ends + timedelta(days=7) <= now
        doubtful = doubted is not None and (read is None or doubted > read)
        if not (missed or settled or doubtful):
            return False
        if note and note.heal_after and note.heal_after > now:
            return False
        newest = max(one for one in (read, doubted, now - timedelta(hours=6)) if one)
        return not (note and note.published_at and note.published_at > newest)

    # what must hold

    @invariant()
    def coverage_is_what_the_ledger_confirmed(self) -> None:
        rows = self.run(self.syncer.sql("SELECT * FROM coverage"))
        oldest = self.run(self.stage.now()).date() - timedelta(days=150)
        for column, kept in (("confirmed_at", self.confirmed), ("unreconciled_at", self.doubted)):
            stored = {(row.integration_id, row.day): getattr(row, column) for row in rows if getattr(row, column)}
            assert {k: v for k, v in stored.items() if k[1] > oldest} == {
                k: v for k, v in kept.items() if k[1] > oldest
            }

    @invariant()
    def every_event_has_one_content_and_windows_follow_their_days(self) -> None:
        known: dict[str, object] = {}
        for one in self.syncer.publisher.published:
            assert known.setdefault(one.event_id, one) == one
            if one.type == "WindowRead":
                window = one.message
                assert {f"{window.reading_id}:{day}" for day in window.totals} <= known.keys()

    @invariant()
    def every_request_is_kept_and_does_not_end_twice(self) -> None:
        self._note_requests()
        assert {key: found for key, found in self._endings().items() if len(found) > 1} == {}

    def _note_requests(self) -> None:
        """Also of those that the syncer makes itself."""
        rows = {(row.integration_id, row.request_id): row for row in self.run(self.syncer.requests())}
        kept = {key: (row.trigger, Days(row.first_day, row.last_day)) for key, row in rows.items()}
        self.received = {key: row.received_at for key, row in rows.items()} | self.received
        self.requests |= {key: asked for key, asked in kept.items() if key not in self.requests}
        assert kept.items() <= self.requests.items()
        assert self.requests.keys() - self._endings().keys() <= kept.keys()

    def _endings(self) -> dict[tuple[UUID, str], set[str]]:
        found = defaultdict(set)
        for failed in self.syncer.failures():
            if failed.final:
                for request_id in failed.request_ids:
                    found[failed.integration_id, request_id].add(_text(failed))
        for window in self.syncer.readings():
            assert urgency_of(window.trigger) == min(
                urgency_of(self.requests[window.integration_id, one][0]) for one in window.request_ids
            )
            for request_id in window.request_ids:
                asked = readable(self.requests[window.integration_id, request_id][1], window.observed_at.date())
                assert asked is None or window.first_day <= asked.first <= asked.last <= window.last_day
                assert window.observed_at >= self.received[window.integration_id, request_id]
                found[window.integration_id, request_id].add(str(window.reading_id))
        return found

    # a quiet end

    def teardown(self) -> None:
        """Nothing breaks any more: every request ends; then every finished day is read without a request."""
        if hasattr(self, "syncer"):
            self._deliver_the_newest()
            self._quiet()
            for row in self.run(
                self.syncer.sql("SELECT * FROM integrations WHERE refused_code IS NOT NULL AND NOT removed")
            ):
                self._asks(row.integration_id, Trigger.FORCE, None, "a person asks")
            self._quiet()
            self._everything_is_read()

    def _deliver_the_newest(self) -> None:
        for team in TEAMS:
            if self.states[team]:
                self._announced(self.states[team][-1])
                self.run(self.syncer.seal(team, self.states[team][-1].credential_version))

    def _quiet(self, after: timedelta = timedelta(hours=25)) -> None:
        """By default all pauses are over, and requests for unknown integrations end."""
        self.run(self.stage.pass_time(after))
        self.not_before.clear()
        for _ in range(2):  # what the first reading after a refusal queues is due SHARED_FOR later
            while claim := self._claim():
                self._attempted(claim, "costs", [])
            self.run(self.stage.pass_time(SHARED_FOR))
        self.run(self.syncer.request_ends.round())
        self._note_requests()
        assert self.run(self.syncer.sql("SELECT 1 FROM windows WHERE closed_at IS NULL")) == []
        endings = self._endings()
        assert {key for key in self.requests if len(endings.get(key, ())) != 1} == set()

    def _everything_is_read(self) -> None:
        """Once the ledger has answered, one round of the healer finds all that is missing."""
        now = self.run(self.stage.now())
        self.run(self.stage.set_clock(datetime.combine(now.date() + timedelta(days=1), MIDNIGHT) + timedelta(hours=7)))
        for window in self.syncer.readings():
            self._confirmed(window)
        for _ in range(2):  # an attempt's number may have been used by a former row of attempts: the next one is free
            self.run(self.syncer.sql("UPDATE coverage SET heal_after = NULL"))
            self.run(self.syncer.healer.round())
        self._quiet(timedelta(0))
        for window in self.syncer.readings():
            self._confirmed(window)
        assert self.run(self._left()) == 0

    async def _left(self) -> int:
        async with self.stage.database.transaction() as connection:
            return (await queue.unread(connection)).days

    async def _renewed(self) -> None:
        async with self.stage.database.transaction() as connection:
            await leases.renew(connection, list(self.claims))


def _text(failed: SyncFailed) -> str:
    return failed.model_dump_json()
