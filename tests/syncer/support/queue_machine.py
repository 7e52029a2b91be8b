"""The syncer's queue: whatever is announced, asked, answered and broken, in whatever order."""

from collections import defaultdict
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from contract.cloudevents import Event
from contract.fields import History, Plan, Status, Trigger
from contract.messages import IntegrationState, SyncFailed, SyncRequested, WindowRead
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy.exc import OperationalError
from syncer.domain import Days, default_days
from syncer.windows import Claim

from tests.support.state_machines import Ends, Stage
from tests.syncer.support.queue_accidents import ANSWERS, MEANWHILE, OFTEN_WELL, claimed_by
from tests.syncer.support.syncer import World

TEAMS = (UUID(int=1), UUID(int=2))
TABLES = "integrations, credentials, requests, windows, coverage, raw_answers"
BEGINS = (
    datetime(2026, 11, 20, 12, tzinfo=UTC),
    datetime(2027, 12, 31, 23, 59, 58, tzinfo=UTC),
    datetime(2028, 2, 28, 23, 30, tzinfo=UTC),
    datetime(2028, 3, 1, 6, 59, 30, tzinfo=UTC),
)


class QueueMachine(RuleBasedStateMachine):
    """What the connector says, what people ask, and what becomes of the windows of two workers."""

    stage: Stage

    @initialize(at=st.sampled_from(BEGINS))
    def begin(self, at: datetime) -> None:
        self.world = World(self.stage.database, self.stage.owner)
        self.workers = [self.world.worker(), self.world.worker()]
        self.run(self.stage.set_clock(at))
        self.run(self.world.sql(f"TRUNCATE {TABLES}"))
        self.states: dict[UUID, list[IntegrationState]] = defaultdict(list)
        self.requests: dict[tuple[UUID, str], tuple[Trigger, Days]] = {}
        self.hands: list[Claim] = []
        self.observed: dict[UUID, datetime] = {}
        self.called: dict[UUID, int] = {}
        self.not_before: dict[UUID, datetime] = {}
        self.confirmed: dict[tuple[UUID, date], datetime] = {}
        self.doubted: dict[tuple[UUID, date], datetime] = {}
        self.received: dict[tuple[UUID, str], datetime] = {}
        self.asked = 0
        self.the_connector_says_at_first()

    def the_connector_says_at_first(self) -> None:
        """One team is connected from the beginning."""
        state = self.run(self._state(TEAMS[0], "add"))
        self.states[TEAMS[0]].append(state)
        self._announced(state)
        self.run(self.world.seal(TEAMS[0]))

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.stage.run(step)

    def comes(self, step: Callable[[], Coroutine[Any, Any, Any]], ends: Ends = Ends.WELL) -> None:
        """A message; it comes again where the connection broke."""
        self.stage.database.breaks(ends)
        try:
            self.run(step())
        except OperationalError:
            self.run(step())
        self.stage.database.breaks()

    # the connector

    @rule(team=st.sampled_from(TEAMS), what=st.sampled_from(["add", "key", "plan", "keep", "erase"]), ends=OFTEN_WELL)
    def the_connector_says(self, team: UUID, what: str, ends: Ends) -> None:
        state = self.run(self._state(team, what))
        if state is not None:
            self.states[team].append(state)
            self._announced(state, ends)

    @rule(team=st.sampled_from(TEAMS), number=st.integers(0), ends=OFTEN_WELL)
    def an_old_state_comes_again(self, team: UUID, number: int, ends: Ends) -> None:
        if self.states[team]:
            state = self.states[team][number % len(self.states[team])]
            self.comes(lambda: self.world.announce(state), ends)  # type: ignore[arg-type]  # IntegrationAdded is handled the same

    @rule(team=st.sampled_from(TEAMS), behind=st.sampled_from([0, 0, 0, 1]), ends=OFTEN_WELL)
    def a_sealed_key_arrives(self, team: UUID, behind: int, ends: Ends) -> None:
        if self.states[team] and (version := self.states[team][-1].credential_version - behind) > 0:
            self.comes(lambda: self.world.seal(team, version), ends)

    def _announced(self, state: IntegrationState, ends: Ends = Ends.WELL) -> None:
        self.comes(lambda: self.world.announce(state), ends)  # type: ignore[arg-type]  # as above
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
        return await self.world.state(team, **changes)

    def gone(self, team: UUID) -> bool:
        return bool(self.states[team]) and self.states[team][-1].status is Status.REMOVED

    # who asks

    @rule(
        team=st.sampled_from([TEAMS[0], TEAMS[0], TEAMS[1], None]),
        trigger=st.sampled_from([Trigger.FORCE, *Trigger]),
        days=st.none() | st.tuples(st.sampled_from([-91, -89, -8, -7, -3, -1, 0]), st.integers(0, 9)),
        again=st.none() | st.integers(0, 9),
        ends=OFTEN_WELL,
    )
    def somebody_asks(
        self, team: UUID | None, trigger: Trigger, days: tuple[int, int] | None, again: int | None, ends: Ends
    ) -> None:
        """Maybe again, and then maybe with other content."""
        self.asked += again is None
        self._asks(team, trigger, days, f"request-{self.asked if again is None else again % (self.asked + 1)}", ends)

    def _asks(
        self, team: UUID | None, trigger: Trigger, days: tuple[int, int] | None, request_id: str, ends: Ends = Ends.WELL
    ) -> None:
        self.run(self.stage.pass_time(timedelta(microseconds=1)))  # what is in hand was observed before
        now = self.run(self.stage.now())
        first = now.date() + timedelta(days=days[0]) if days else None
        wish = SyncRequested(
            request_id=request_id,
            trigger=trigger,
            integration_id=team,
            first_day=first,
            last_day=first + timedelta(days=days[1]) if days and first else None,
            requested_at=now,
        )
        asked = Days(first, wish.last_day) if first and wish.last_day else default_days(now.date())
        active = [one for one in TEAMS if self.states[one] and not self.gone(one)]
        for one in [team] if team else active:
            self.requests.setdefault((one, wish.request_id), (trigger, asked))
        self.comes(lambda: self.world.handlers.sync_requested(Event(wish, "any", now)), ends)

    # the workers

    @rule(worker=st.integers(0, 1), ends=OFTEN_WELL)
    def a_worker_looks(self, worker: int, ends: Ends) -> None:
        self._claims(worker, ends)

    @rule(
        answer=st.sampled_from(["costs", "costs", *ANSWERS]),
        ends=st.lists(OFTEN_WELL, max_size=2),
        takes=st.none() | st.integers(0, 9),
        meanwhile=st.sampled_from(MEANWHILE),
    )
    def a_worker_works(self, answer: str, ends: list[Ends], takes: int | None, meanwhile: str) -> None:
        """It claims what is due and attempts it at once."""
        if claim := self._claims(0):
            self._breaking(claim, answer, ends, takes, meanwhile)

    def _claims(self, worker: int, ends: Ends = Ends.WELL) -> Claim | None:
        now, held = self.run(self.stage.now()), self.run(self._held())
        self.stage.database.breaks(ends)
        claim: Claim | None = self.run(claimed_by(self.workers[worker], patient=ends is Ends.WELL))
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
        self.hands.append(claim)
        return claim

    @precondition(lambda self: self.hands)
    @rule(
        number=st.integers(0, 5),
        answer=st.sampled_from(["costs", "costs", *ANSWERS]),
        ends=st.lists(OFTEN_WELL, max_size=2),
        takes=st.none() | st.integers(0, 9),
        meanwhile=st.sampled_from(MEANWHILE),
    )
    def who_claimed_attempts(
        self, number: int, answer: str, ends: list[Ends], takes: int | None, meanwhile: str
    ) -> None:
        """Maybe long after."""
        self._breaking(self.hands[number % len(self.hands)], answer, ends, takes, meanwhile)

    def _breaking(self, claim: Claim, answer: str, ends: list[Ends], takes: int | None, meanwhile: str) -> None:
        """Any of its transactions may break, and the broker take a few records only."""
        self.world.publisher.takes(takes)
        self._attempted(claim, answer, ends, meanwhile)
        self.world.publisher.takes()

    def _attempted(self, claim: Claim, answer: str, ends: list[Ends], meanwhile: str = "nothing") -> None:
        self.hands.remove(claim)
        team, holds = claim.integration_id, claim.lease in self.run(self._held()).values()
        now, before = self.run(self.stage.now()), len(self.world.xai.asked)
        self.world.xai.answers.clear()
        self.world.xai.answers.append(ANSWERS[answer])
        self.world.xai.meanwhile = self._meanwhile(team, meanwhile)
        self.stage.database.breaks(*ends)
        self.run(self.workers[0]._attempt(claim))  # noqa: SLF001 - a step of the worker's loop
        self.stage.database.breaks()
        self.world.xai.meanwhile = None
        if (claim.decision is None and not holds) or meanwhile in {"the lease runs out", "another reads it"}:
            assert claim.observed_at not in self._told(team)
        calls = self.world.xai.asked[before:]
        if not calls:
            return
        _, version, days = calls[0]
        today = claim.observed_at.date()
        assert not claim.removed
        assert today - timedelta(days=89) <= days.first <= days.last <= today
        if holds:
            assert version >= self.called.get(team, 0)
            self.called[team] = version
        well = set(ends) <= {Ends.WELL} and meanwhile in {"nothing", "force"}
        if holds and well and answer == "too often" and self.run(self._waits(claim)):
            self.not_before[team] = now + timedelta(seconds=600)

    def _told(self, team: UUID) -> set[datetime | None]:
        """When what was published of a team was observed."""
        published = [*self.world.publisher.windows(), *self.world.publisher.failures()]
        return {
            one.observed_at
            for one in published
            if isinstance(one, WindowRead | SyncFailed) and one.integration_id == team
        }

    def _meanwhile(self, team: UUID, what: str) -> Callable[[], Coroutine[Any, Any, object]] | None:
        """What happens while xAI is asked; it breaks nowhere."""

        async def happens() -> None:
            plan = self.stage.database.plan.copy()
            self.stage.database.breaks()
            self.world.xai.meanwhile = None
            await self._happens(team, what)
            self.stage.database.breaks(*plan)

        return None if what == "nothing" else happens

    async def _happens(self, team: UUID, what: str) -> None:
        if what in {"the lease runs out", "another reads it"}:
            await self.world.leases_run_out()
        if what == "another reads it" and (claim := await claimed_by(self.workers[1])):
            self.observed[claim.integration_id] = claim.observed_at
            answers, self.world.xai.answers = self.world.xai.answers.copy(), type(self.world.xai.answers)()
            await self.workers[1]._attempt(claim)  # noqa: SLF001 - as above
            self.world.xai.answers = answers
        if what == "force":
            now = await self.stage.now()
            self.requests.setdefault((team, "meanwhile"), (Trigger.FORCE, default_days(now.date())))
            await self.world.ask(team, request_id="meanwhile", requested_at=now, recorded_at=now)
        kind = {"the key is replaced": "key", "it goes": "keep"}.get(what)
        if kind and (state := await self._state(team, kind)):
            self.states[team].append(state)
            await self.world.announce(state)  # type: ignore[arg-type]  # as above

    async def _held(self) -> dict[UUID, UUID]:
        """The leases that have not run out, by integration."""
        rows = await self.world.sql(
            "SELECT integration_id, lease FROM integrations WHERE lease IS NOT NULL AND lease_until >= clock_timestamp()"
        )
        return {row.integration_id: row.lease for row in rows}

    async def _waits(self, claim: Claim) -> bool:
        """Whether its window is still open, and failed."""
        rows = await self.world.sql("SELECT closed_at, attempts FROM windows WHERE window_id = :id", id=claim.window_id)
        return bool(rows) and rows[0].closed_at is None and rows[0].attempts > claim.attempts
