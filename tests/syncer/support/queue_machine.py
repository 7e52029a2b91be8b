"""The syncer's queue: whatever is announced, requested, answered and broken, in whatever order."""

from collections import defaultdict
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from contract.cloudevents import Event
from contract.fields import History, Plan, Status, Trigger
from contract.messages import IntegrationState
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy.exc import OperationalError
from syncer.domain import Days, default_days
from syncer.leases import Claim

from tests.support.messages import sync_requested
from tests.support.state_machines import Ends, Stage
from tests.syncer.support.claims import claim_one
from tests.syncer.support.incidents import ANSWERS, MEANWHILE, MOSTLY_COMMITTED
from tests.syncer.support.syncer import SyncerHarness

TEAMS = (UUID(int=1), UUID(int=2))
BEGINS = (
    datetime(2026, 11, 20, 12, tzinfo=UTC),
    datetime(2027, 12, 31, 23, 59, 58, tzinfo=UTC),
    datetime(2028, 2, 28, 23, 30, tzinfo=UTC),
    datetime(2028, 3, 1, 6, 59, 30, tzinfo=UTC),
)


class QueueMachine(RuleBasedStateMachine):
    """Messages of the connector, requests, and the attempts of workers."""

    stage: Stage

    @initialize(at=st.sampled_from(BEGINS))
    def begin(self, at: datetime) -> None:
        self.syncer = SyncerHarness(self.stage.database, self.stage.owner)
        self.attempt = self.syncer.attempt
        self.run(self.stage.set_clock(at))
        self.run(self.syncer.clear())
        self.states: dict[UUID, list[IntegrationState]] = defaultdict(list)
        self.requests: dict[tuple[UUID, str], tuple[Trigger, Days]] = {}
        self.claims: list[Claim] = []
        self.observed: dict[UUID, datetime] = {}
        self.called: dict[UUID, int] = {}
        self.not_before: dict[UUID, datetime] = {}
        self.confirmed: dict[tuple[UUID, date], datetime] = {}
        self.doubted: dict[tuple[UUID, date], datetime] = {}
        self.received: dict[tuple[UUID, str], datetime] = {}
        self.asked = 0
        self._connect_the_first_team()

    def _connect_the_first_team(self) -> None:
        state = self.run(self._state(TEAMS[0], "add"))
        self.states[TEAMS[0]].append(state)
        self._announced(state)
        self.run(self.syncer.seal(TEAMS[0]))

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.stage.run(step)

    def deliver(self, step: Callable[[], Coroutine[Any, Any, Any]], ends: Ends = Ends.COMMITTED) -> None:
        """A message is handled, again where the connection broke."""
        self.stage.database.breaks(ends)
        try:
            self.run(step())
        except (psycopg.OperationalError, OperationalError):
            self.run(step())
        self.stage.database.breaks()

    # the connector

    @rule(
        team=st.sampled_from(TEAMS),
        what=st.sampled_from(["add", "key", "plan", "keep", "erase"]),
        ends=MOSTLY_COMMITTED,
    )
    def the_connector_announces(self, team: UUID, what: str, ends: Ends) -> None:
        state = self.run(self._state(team, what))
        if state is not None:
            self.states[team].append(state)
            self._announced(state, ends)

    @rule(team=st.sampled_from(TEAMS), number=st.integers(0), ends=MOSTLY_COMMITTED)
    def an_old_state_is_delivered_again(self, team: UUID, number: int, ends: Ends) -> None:
        if self.states[team]:
            state = self.states[team][number % len(self.states[team])]
            self.deliver(lambda: self.syncer.announce(state), ends)

    @rule(team=st.sampled_from(TEAMS), behind=st.sampled_from([0, 0, 0, 1]), ends=MOSTLY_COMMITTED)
    def a_sealed_key_arrives(self, team: UUID, behind: int, ends: Ends) -> None:
        if self.states[team] and (version := self.states[team][-1].credential_version - behind) > 0:
            self.deliver(lambda: self.syncer.seal(team, version), ends)

    def _announced(self, state: IntegrationState, ends: Ends = Ends.COMMITTED) -> None:
        self.deliver(lambda: self.syncer.announce(state), ends)
        if state.history is History.ERASE:
            for kept in (self.confirmed, self.doubted):
                for key in [key for key in kept if key[0] == state.integration_id]:
                    del kept[key]

    async def _state(self, team: UUID, what: str) -> IntegrationState | None:
        """The next state, where `what` can happen now."""
        before = self.states[team][-1] if self.states[team] else None
        gone = before is not None and before.status is Status.REMOVED
        if (what == "add") != (before is None or gone):
            return None
        now = await self.stage.now()
        key = before.credential_version if before else 0
        first = now.date() - timedelta(days=29 if before is None else 89)
        changes: dict[str, object] = {
            "version": before.version + 1 if before else 1,
            "credential_version": key + (what in {"add", "key"}),
            "plan": Plan.PRO if before and (what == "plan" or before.plan is Plan.PRO) else Plan.FREE,
            "added_at": before.added_at if before and what != "add" else now,
            "history_from": first
            if before is None
            else min(before.history_from, first)
            if what == "plan"
            else before.history_from,
        }
        if what in {"keep", "erase"}:
            changes |= {"status": Status.REMOVED, "history": History(what), "removed_at": now}
        return await self.syncer.state(team, **changes)

    def gone(self, team: UUID) -> bool:
        return bool(self.states[team]) and self.states[team][-1].status is Status.REMOVED

    # requests

    @rule(
        team=st.sampled_from([TEAMS[0], TEAMS[0], TEAMS[1], None]),
        trigger=st.sampled_from([Trigger.FORCE, *Trigger]),
        days=st.none() | st.tuples(st.sampled_from([-91, -89, -8, -7, -3, -1, 0]), st.integers(0, 9)),
        again=st.none() | st.integers(0, 9),
        age=st.sampled_from([timedelta(0), timedelta(0), timedelta(days=6), timedelta(days=8), -timedelta(hours=2)]),
        ends=MOSTLY_COMMITTED,
    )
    def a_request_arrives(
        self,
        team: UUID | None,
        trigger: Trigger,
        days: tuple[int, int] | None,
        again: int | None,
        age: timedelta,
        ends: Ends,
    ) -> None:
        """Maybe a second time, and then maybe with other content; maybe late, or from the future."""
        self.asked += again is None
        request_id = f"request-{self.asked if again is None else again % (self.asked + 1)}"
        self._asks(team, trigger, days, request_id, ends, age)

    def _asks(
        self,
        team: UUID | None,
        trigger: Trigger,
        days: tuple[int, int] | None,
        request_id: str,
        ends: Ends = Ends.COMMITTED,
        age: timedelta = timedelta(0),
    ) -> None:
        self.run(self.stage.pass_time(timedelta(microseconds=1)))  # claimed windows were observed before
        now = self.run(self.stage.now())
        first = now.date() + timedelta(days=days[0]) if days else None
        last = first + timedelta(days=days[1]) if days and first else None
        fields = {"request_id": request_id, "trigger": trigger, "first_day": first, "last_day": last}
        request = sync_requested(team, requested_at=now - age, **fields)
        as_of = now - age if age > timedelta(days=7) else now
        asked = Days(first, last) if first and last else default_days(as_of.date())
        for one in [team] if team else self._connected_at(now, age):
            self.requests.setdefault((one, request_id), (trigger, asked))
        self.deliver(lambda: self.syncer.handlers.sync_requested(Event(request, "any", now)), ends)

    def _connected_at(self, now: datetime, age: timedelta) -> list[UUID]:
        """Whom a request for all means that was made `age` ago."""
        if not timedelta(hours=-1) <= age <= timedelta(days=7):
            return []
        active = [one for one in TEAMS if self.states[one] and not self.gone(one)]
        return [one for one in active if self.states[one][-1].added_at <= now - age + timedelta(seconds=5)]

    # the workers

    @rule(ends=MOSTLY_COMMITTED)
    def a_worker_claims(self, ends: Ends) -> None:
        self._claim(ends)

    @rule(
        answer=st.sampled_from(["costs", "costs", *ANSWERS]),
        ends=st.lists(MOSTLY_COMMITTED, max_size=2),
        accepts=st.none() | st.integers(0, 9),
        meanwhile=st.sampled_from(MEANWHILE),
    )
    def a_worker_claims_and_attempts(self, answer: str, ends: list[Ends], accepts: int | None, meanwhile: str) -> None:
        if claim := self._claim():
            self._breaking(claim, answer, ends, accepts, meanwhile)

    def _claim(self, ends: Ends = Ends.COMMITTED) -> Claim | None:
        now, held = self.run(self.stage.now()), self.run(self._held())
        self.stage.database.breaks(ends)
        try:
            claim: Claim | None = self.run(claim_one(self.attempt, ""))
        except psycopg.OperationalError:
            claim = None
        self.stage.database.breaks()
        if claim is None:
            return None
        team = claim.integration_id
        assert team not in held
        assert claim.observed_at >= now
        assert claim.observed_at > self.observed.get(team, datetime.min.replace(tzinfo=UTC))
        assert claim.removed == self.gone(team)
        if claim.decision is None and not claim.removed:
            assert now >= self.not_before.get(team, now)
            assert claim.credential is not None
            assert claim.credential.credential_version >= self.states[team][-1].credential_version
        self.observed[team] = claim.observed_at
        self.claims.append(claim)
        return claim

    @precondition(lambda self: self.claims)
    @rule(
        number=st.integers(0, 5),
        answer=st.sampled_from(["costs", "costs", *ANSWERS]),
        ends=st.lists(MOSTLY_COMMITTED, max_size=2),
        accepts=st.none() | st.integers(0, 9),
        meanwhile=st.sampled_from(MEANWHILE),
    )
    def a_claimed_window_is_attempted(
        self, number: int, answer: str, ends: list[Ends], accepts: int | None, meanwhile: str
    ) -> None:
        """Maybe long after."""
        self._breaking(self.claims[number % len(self.claims)], answer, ends, accepts, meanwhile)

    def _breaking(self, claim: Claim, answer: str, ends: list[Ends], accepts: int | None, meanwhile: str) -> None:
        """Any of its transactions may break, and the broker may accept a few records only."""
        if accepts is not None:
            self.syncer.publisher.accept(accepts)
        self._attempted(claim, answer, ends, meanwhile)
        self.syncer.publisher.available()

    def _attempted(self, claim: Claim, answer: str, ends: list[Ends], meanwhile: str = "nothing") -> None:
        self.claims.remove(claim)
        team, holds = claim.integration_id, claim.lease in self.run(self._held()).values()
        now, before = self.run(self.stage.now()), len(self.syncer.xai.calls)
        self.syncer.xai.answers.clear()
        self.syncer.xai.answers.append(ANSWERS[answer])
        self.syncer.xai.meanwhile = self._meanwhile(team, meanwhile)
        self.stage.database.breaks(*ends)
        self.run(self.attempt.run(claim))
        self.stage.database.breaks()
        self.syncer.xai.meanwhile = None
        if (claim.decision is None and not holds) or meanwhile in {"the lease expires", "another reads it"}:
            assert claim.observed_at not in self._published(team)
        calls = self.syncer.xai.calls[before:]
        if not calls:
            return
        _, version, days = calls[0]
        today = claim.observed_at.date()
        assert not claim.removed
        assert today - timedelta(days=89) <= days.first <= days.last <= today
        if holds:
            assert version >= self.called.get(team, 0)
            self.called[team] = version
        well = set(ends) <= {Ends.COMMITTED} and meanwhile in {"nothing", "force"}
        if holds and well and answer == "too often" and self.run(self._waits(claim)):
            self.not_before[team] = now + timedelta(seconds=600)

    def _published(self, team: UUID) -> set[datetime | None]:
        """When the published outcomes of a team were observed."""
        read = {one.observed_at for one in self.syncer.readings() if one.integration_id == team}
        return read | {one.observed_at for one in self.syncer.failures() if one.integration_id == team}

    def _meanwhile(self, team: UUID, what: str) -> Callable[[], Coroutine[Any, Any, object]] | None:
        """What happens during the call; no transaction of it breaks."""

        async def happens() -> None:
            plan = self.stage.database.plan.copy()
            self.stage.database.breaks()
            self.syncer.xai.meanwhile = None
            await self._happens(team, what)
            self.stage.database.breaks(*plan)

        return None if what == "nothing" else happens

    async def _happens(self, team: UUID, what: str) -> None:
        if what in {"the lease expires", "another reads it"}:
            await self.syncer.expire_leases()
        if what == "another reads it" and (claim := await claim_one(self.attempt, "")):
            self.observed[claim.integration_id] = claim.observed_at
            answers, self.syncer.xai.answers = self.syncer.xai.answers.copy(), type(self.syncer.xai.answers)()
            await self.attempt.run(claim)
            self.syncer.xai.answers = answers
        if what == "force":
            now = await self.stage.now()
            self.requests.setdefault((team, "meanwhile"), (Trigger.FORCE, default_days(now.date())))
            await self.syncer.ask(team, request_id="meanwhile", requested_at=now)
        kind = {"the key is replaced": "key", "it is removed": "keep"}.get(what)
        if kind and (state := await self._state(team, kind)):
            self.states[team].append(state)
            await self.syncer.announce(state)

    async def _held(self) -> dict[UUID, UUID]:
        """The leases that have not expired, by integration."""
        rows = await self.syncer.sql(
            "SELECT integration_id, lease FROM integrations WHERE lease IS NOT NULL AND lease_until >= clock_timestamp()"
        )
        return {row.integration_id: row.lease for row in rows}

    async def _waits(self, claim: Claim) -> bool:
        """Whether its window is still open, and failed."""
        rows = await self.syncer.sql(
            "SELECT closed_at, attempts FROM windows WHERE window_id = :id", id=claim.window_id
        )
        return bool(rows) and rows[0].closed_at is None and rows[0].attempts > claim.attempts
