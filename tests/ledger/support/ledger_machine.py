"""The ledger against a model of it: any messages, in any order and number, with a crash at any step."""

import asyncio
import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from common.errors import TransientError
from contract.fields import History, Status
from contract.messages import Cost, CostRecorded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ledger.store.checksum import checksum
from ledger.store.costs import IntegrationDay, Selection, integration_days
from sqlalchemy.exc import OperationalError

from tests.ledger.support.ledger import (
    FIRST,
    NOON,
    OTHER_ACCOUNT,
    LedgerHarness,
    later,
    reading_of,
    record_of,
)
from tests.ledger.support.ledger_model import CostMessage, Model, Outcome
from tests.support.messages import ACCOUNT
from tests.support.state_machines import Ends, Stage

TEAMS = (UUID(int=1), UUID(int=2))
Rows = tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]]
"""Days, revisions and outcomes, by their keys."""
CONTENTS: tuple[dict[str, str], ...] = (
    *({}, {"a": "1"}, {"a": "1.0"}, {"a": "0.4", "b": "0.6"}, {"a": "2", "b": "-1"}, {"a": "1.0000000001"}),
    *({"a": "1000"}, {"a": "1000.0000000007"}, {"a": "1000.0000000014"}),
)
"""The last ones differ from their neighbours by noise, and from each other by more."""


class LedgerMachine(RuleBasedStateMachine):
    """Readings are made and received in any order and number; after every step the tables equal the model."""

    stage: Stage

    @initialize()
    def begin(self) -> None:
        self.ledger = LedgerHarness(self.stage.database, self.stage.owner)
        self.stage.run(self.ledger.clear())
        self.model = Model()
        self.messages: list[CostMessage] = []
        self.applied: list[CostMessage] = []
        self.hours: set[int] = set()

    @rule(
        team=st.sampled_from([TEAMS[0], TEAMS[0], TEAMS[0], TEAMS[1]]),
        first=st.integers(0, 1),
        costs=st.lists(st.sampled_from([*CONTENTS, *CONTENTS, None]), min_size=1, max_size=3),
        hour=st.integers(1, 60),
        account=st.sampled_from([ACCOUNT, ACCOUNT, ACCOUNT, OTHER_ACCOUNT]),
    )
    def xai_is_stored_amounts(
        self, team: UUID, first: int, costs: list[dict[str, str] | None], hour: int, account: str
    ) -> None:
        """A reading of one to three days, some of which xAI may have cut off; no two are observed at one instant."""
        while hour in self.hours:
            hour += 1
        self.hours.add(hour)
        days = {FIRST + timedelta(days=first + number): labels for number, labels in enumerate(costs)}
        read = {day: labels for day, labels in days.items() if labels is not None}
        cut = [day for day, labels in days.items() if labels is None]
        reading = reading_of(team, read, observed_at=later(hour), cut=cut)
        changes = {"account_id": account, "reading_id": UUID(int=1000 + hour)}
        self.messages += [day.model_copy(update=changes) for day in reading.days]
        self.messages.append(reading.window.model_copy(update=changes))

    @precondition(lambda self: self.messages)
    @rule(number=st.integers(0), costs=st.sampled_from(CONTENTS), days=st.integers(0, 2), hour=st.integers(-1, 1))
    def a_false_message_reuses_a_reading_id(self, number: int, costs: dict[str, str], days: int, hour: int) -> None:
        """The same reading ID with other content, of the same instant or of another one."""
        one = self.messages[number % len(self.messages)]
        at = one.observed_at + timedelta(minutes=hour)
        if isinstance(one, CostRecorded):
            other = reading_of(one.integration_id, {one.day: costs}, observed_at=at).days[0]
            self.messages.append(other.model_copy(update={"reading_id": one.reading_id, "account_id": one.account_id}))
        else:
            last = one.first_day + timedelta(days=days)
            totals = {one.first_day + timedelta(days=day): Decimal(day) for day in range(days + 1)}
            self.messages.append(one.model_copy(update={"last_day": last, "totals": totals, "observed_at": at}))

    @precondition(lambda self: self.messages)
    @rule(
        picks=st.lists(st.integers(0, 50), min_size=1, max_size=12),
        ends=st.sampled_from([Ends.COMMITTED, Ends.COMMITTED, Ends.COMMITTED, Ends.ABORTED, Ends.UNKNOWN]),
        down=st.booleans(),
        malformed=st.booleans(),
    )
    def a_batch_comes(self, picks: list[int], ends: Ends, *, down: bool, malformed: bool) -> None:
        """In any order and with copies; the connection may break, or the broker be unavailable at the announcement."""
        self._come(self._pick(picks), ends, down=down, malformed=malformed)

    @precondition(lambda self: self.messages)
    @rule(seed=st.integers(0, 1000), newest=st.integers(1, 12))
    def the_newest_come_in_order(self, seed: int, newest: int) -> None:
        """As in normal operation."""
        size = 1 + seed % 5
        batch = self.messages[-newest:]
        for start in range(0, len(batch), size):
            self._come(batch[start : start + size], Ends.COMMITTED)

    @precondition(lambda self: len(self.messages) > 1)
    @rule(picks=st.lists(st.integers(0, 50), min_size=2, max_size=12), cut=st.integers(1, 11))
    def two_batches_come_at_once(self, picks: list[int], cut: int) -> None:
        """Of two consumers; as if one had come after the other, whichever that was."""
        days = [one for one in self._pick(picks) if isinstance(one, CostRecorded)]
        self.stage.run(self._at_once(days[:cut], days[cut:]))
        self.applied += days
        orders = [days[:cut], days[cut:]], [days[cut:], days[:cut]]
        either = [deepcopy(self.model) for _ in orders]
        for model, order in zip(either, orders, strict=True):
            for batch in order:
                model.receive(batch)
        rows = self.stage.run(self._rows())
        self.model = next((one for one in either if _rows_of(one) == rows), either[0])

    @precondition(lambda self: self.applied)
    @rule(seed=st.integers(0, 1000), shuffled=st.booleans())
    def everything_comes_again(self, seed: int, *, shuffled: bool) -> None:
        """A replay of all that was ever applied leaves figures and revisions as they are, in whatever order."""
        before = self.stage.run(self._sums())
        again = self.applied.copy()
        if shuffled:
            random.Random(seed).shuffle(again)
        for start in range(0, len(again), 7):
            self._come(again[start : start + 7], Ends.COMMITTED, note=False)
        assert self.stage.run(self._sums()) == before

    @rule(
        team=st.sampled_from(TEAMS),
        version=st.integers(1, 6),
        what=st.sampled_from(["there", "there", "removed, history kept", "removed, history erased"]),
        ends=st.sampled_from([Ends.COMMITTED, Ends.COMMITTED, Ends.ABORTED, Ends.UNKNOWN]),
    )
    def the_integration_changes(self, team: UUID, version: int, what: str, ends: Ends) -> None:
        """Added, removed, added again, in versions that come in any order."""
        changes: dict[str, Any] = {"version": version, "label": what}
        if what != "there":
            history = History.ERASE if what.endswith("erased") else History.KEEP
            changes |= {"status": Status.REMOVED, "history": history, "removed_at": NOON}
        self.stage.database.breaks(ends)
        if self._breaks(lambda: self.ledger.add(team, **changes)) and ends is Ends.ABORTED:
            return
        self.model.change(team, version, what, erase=what.endswith("erased"))

    @invariant()
    def the_tables_equal_the_model(self) -> None:
        assert self.stage.run(self._rows()) == _rows_of(self.model)

    @invariant()
    def former_days_have_no_gap_and_no_overlap(self) -> None:
        """Each ends where the next one begins, up to the stored one."""
        for key, stored in self.model.days.items():
            spans = sorted((day.valid_from, until) for one, day, until, _ in self.model.revisions if one == key)
            ends = [until for _, until in spans]
            begins = [since for since, _ in spans[1:]] + [stored.valid_from]
            assert not spans or ends == begins

    @rule(hour=st.integers(0, 70), account=st.sampled_from([ACCOUNT, OTHER_ACCOUNT]))
    def somebody_reads_the_costs_as_of_an_instant(self, hour: int, account: str) -> None:
        at = later(hour)
        known = self.stage.run(self._known(account, at))
        keys = {key for key in self.model.days if key[2] == account}
        expected = {key[:2]: usd for key in keys if (usd := self.model.known(key, at)) is not None}
        assert {(one.integration_id, one.day): one.usd for one in known} == expected

    @invariant()
    def integrations_and_the_erased_are_those_of_the_model(self) -> None:
        integrations, erased = self.stage.run(self._others())
        assert integrations == {team: (version, label) for team, (version, label) in self.model.versions.items()}
        assert erased == self.model.erased

    def _pick(self, numbers: Sequence[int]) -> list[CostMessage]:
        return [self.messages[number % len(self.messages)] for number in numbers]

    def _come(
        self,
        batch: Sequence[CostMessage],
        ends: Ends,
        *,
        down: bool = False,
        malformed: bool = False,
        note: bool = True,
    ) -> None:
        records = [record_of(one) for one in batch]
        if malformed:
            records.insert(len(records) // 2, record_of(batch[0], value=b"{nonsense"))
        published = self.ledger.publisher.published
        published.clear()
        self.ledger.dead_letters.entries.clear()
        self.ledger.publisher.available(available=not down)
        self.stage.database.breaks(ends)
        broke = self._breaks(lambda: self.ledger.receive(*records))
        self.ledger.publisher.available()
        if ends is Ends.ABORTED:
            assert broke
            assert (published, self.ledger.dead_letters.entries) == ([], [])
            return
        expected = deepcopy(self.model.receive(batch))
        if note:
            self.applied += batch
        assert broke == (ends is Ends.UNKNOWN or (down and expected != []))
        if not broke:
            assert sorted(map(_announced, published)) == sorted(map(_expected, expected))
        assert len(self.ledger.dead_letters.entries) == (malformed and not broke)

    def _breaks(self, step: Callable[[], Any]) -> bool:
        try:
            self.stage.run(step())
        except (psycopg.OperationalError, OperationalError, TransientError):
            return True
        finally:
            self.stage.database.breaks()
        return False

    async def _at_once(self, *batches: Sequence[CostMessage]) -> None:
        await asyncio.gather(*(self.ledger.receive(*batch) for batch in batches))

    async def _rows(self) -> Rows:
        days = {
            (row.integration_id, row.day, row.account_id): (
                *(row.usd, _stored_amounts(row.costs), row.reading_id, row.observed_at, row.valid_from),
            )
            for row in await self.ledger.sql(
                "SELECT *, costs_of(labels_id, amounts) AS costs, said_since AS valid_from FROM days"
            )
        }
        revisions = {
            (row.integration_id, row.day, row.account_id, row.valid_from): (
                *(_stored_amounts(row.costs), row.reading_id, row.valid_to, row.replaced_by),
            )
            for row in await self.ledger.sql(
                """SELECT *, costs_of(labels_id, amounts) AS costs, said_since AS valid_from, said_until AS valid_to
                FROM day_revisions"""
            )
        }
        outcomes = {
            (row.integration_id, row.reading_id, row.account_id): (
                *(row.event_id, row.judgements, row.reconciled, tuple(row.unreconciled_days)),
            )
            for row in await self.ledger.sql("SELECT * FROM outcomes")
        }
        return days, revisions, outcomes

    async def _sums(self) -> dict[str, int | str]:
        async with self.stage.owner.transaction() as connection:
            sums = await checksum(connection)
        return {name: sums[name] for name in ("days", "usd", "checksum", "revisions")}

    async def _known(self, account: str, at: datetime) -> list[IntegrationDay]:
        async with self.stage.database.pipeline() as pipeline:
            return await integration_days(pipeline, Selection(account, FIRST, FIRST + timedelta(days=9), as_of=at))

    async def _others(self) -> tuple[dict[UUID, tuple[int, str]], set[UUID]]:
        rows = await self.ledger.sql("SELECT integration_id, version, label FROM integrations")
        erased = await self.ledger.sql("SELECT integration_id FROM erased")
        return {row.integration_id: (row.version, row.label) for row in rows}, {row.integration_id for row in erased}


def _rows_of(model: Model) -> Rows:
    """The tables as they must be."""
    days = {
        key: (one.usd, _amounts_of(one.costs), one.reading_id, one.observed_at, one.valid_from)
        for key, one in model.days.items()
    }
    revisions = {
        (*key, day.valid_from): (_amounts_of(day.costs), day.reading_id, until, by)
        for key, day, until, by in model.revisions
    }
    outcomes = {
        key: (one.event_id, one.number, not one.unreconciled, one.unreconciled) for key, one in model.outcomes.items()
    }
    return days, revisions, outcomes


def _amounts_of(costs: tuple[Cost, ...]) -> list[tuple[str, Decimal]]:
    return [(one.label, one.usd) for one in costs]


def _stored_amounts(costs: list[dict[str, str]]) -> list[tuple[str, Decimal]]:
    return [(one["label"], Decimal(one["usd"])) for one in costs]


def _announced(published: Any) -> tuple[Any, ...]:
    one = published.message
    return published.event_id, one.reconciled, one.unreconciled_days, one.days_changed, one.usd, one.last_day


def _expected(one: Outcome) -> tuple[Any, ...]:
    return one.event_id, not one.unreconciled, one.unreconciled, one.changed, one.usd, one.window.last_day
