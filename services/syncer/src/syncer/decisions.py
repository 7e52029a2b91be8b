"""The decision of an attempt, stored before it is published: after a crash it is published again, byte for byte."""

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Annotated, Literal
from uuid import UUID

from common.kafka.publisher import Publisher, check_size, fits_one_batch
from contract.fields import Instant, Trigger
from contract.messages import CostRecorded, SyncFailed, WindowRead
from contract.money import total
from contract.problems import Code
from contract.topics import COSTS, SYNC_OUTCOMES
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from syncer.domain import Days
from syncer.provider import Reading

HEADERS_BYTES = 1_000
"""Room for the headers and the key of a record."""


class ReadingDecision(BaseModel):
    """The window was read: these days are published, and then the window."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    kind: Literal["reading"] = "reading"
    days: tuple[CostRecorded, ...]
    window: WindowRead

    @cached_property
    def bodies(self) -> tuple[bytes, ...]:
        """The JSON of the days, and then of the window: encoded once, stored and published."""
        return tuple(message.model_dump_json().encode() for message in (*self.days, self.window))

    @property
    def stored(self) -> str:
        """As `model_dump_json`, of the same bytes that are published."""
        *days, window = (body.decode() for body in self.bodies)
        return f'{{"kind":"reading","days":[{",".join(days)}],"window":{window}}}'


class FailureDecision(BaseModel):
    """The window could not be read: this is published; the window ends, or waits for its next attempt."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    kind: Literal["failure"] = "failure"
    event_id: str
    at: Instant
    outcome: SyncFailed

    @property
    def stored(self) -> str:
        return self.model_dump_json()


Decision = ReadingDecision | FailureDecision
_DECISION: TypeAdapter[Decision] = TypeAdapter(Annotated[Decision, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True)
class Scope:
    """The days that a failure is about, and the requests that it answers."""

    integration_id: UUID
    account_id: str | None
    """None where the integration is unknown."""
    trigger: Trigger
    request_ids: tuple[str, ...]
    days: Days


def parse_decision(text: str) -> Decision:
    return _DECISION.validate_json(text)


def decide_reading(reading: Reading, window: WindowRead) -> ReadingDecision:
    """What is published of `reading`: all but the questioned days of `window`, which has everything but the totals.

    Days too large for a record count as cut.
    """
    days = tuple(_day(day, reading, window) for day in sorted(reading.days.keys() - set(window.questioned_days or ())))
    decision = _reading_decision(days, window)
    kept = tuple(day for day, body in zip(days, decision.bodies, strict=False) if _fits(body))
    return decision if kept == days else _reading_decision(kept, window)


def decide_failure(
    scope: Scope,
    code: Code,
    *,
    event_id: str,
    at: datetime,
    attempts: int = 0,
    credential_version: int | None = None,
    next_attempt_at: datetime | None = None,
) -> FailureDecision:
    """`at`: the instant of the event. `credential_version`: of the key of a call; None where no call was made.

    Final unless there is a next attempt.
    """
    outcome = SyncFailed(
        account_id=scope.account_id,
        integration_id=scope.integration_id,
        trigger=scope.trigger,
        request_ids=scope.request_ids,
        first_day=scope.days.first,
        last_day=scope.days.last,
        code=code,
        final=next_attempt_at is None,
        attempts=attempts,
        next_attempt_at=next_attempt_at,
        credential_version=credential_version,
        observed_at=at if credential_version is not None else None,
    )
    return FailureDecision(event_id=event_id, at=at, outcome=outcome)


async def publish(decision: Decision, publisher: Publisher) -> None:
    """Publish the decision. A second time gives the same bytes.

    WindowRead is never there before all of its days: it is in one batch with them, which the broker stores whole or not
    at all, or is published after they are acknowledged.
    """
    if isinstance(decision, FailureDecision):
        outcome = decision.outcome
        key = str(outcome.integration_id)
        await publisher.publish(SYNC_OUTCOMES, outcome, key=key, event_id=decision.event_id, at=decision.at)
        return
    window = decision.window
    key, at = str(window.integration_id), window.observed_at
    records = [
        publisher.outgoing(COSTS, message, key=key, event_id=f"{window.reading_id}:{name}", at=at, body=body)
        for message, name, body in zip(
            (*decision.days, window), (*(str(day.day) for day in decision.days), "window"), decision.bodies, strict=True
        )
    ]
    for some in [records] if fits_one_batch(records) else [records[:-1], records[-1:]]:
        await publisher.publish_all(some)


def _day(day: date, reading: Reading, window: WindowRead) -> CostRecorded:
    costs = reading.days[day]
    return CostRecorded(
        account_id=window.account_id,
        integration_id=window.integration_id,
        day=day,
        usd=total(cost.usd for cost in costs),
        costs=costs,
        reading_id=window.reading_id,
        observed_at=window.observed_at,
    )


def _reading_decision(days: tuple[CostRecorded, ...], window: WindowRead) -> ReadingDecision:
    return ReadingDecision(days=days, window=window.model_copy(update={"totals": {day.day: day.usd for day in days}}))


def _fits(body: bytes) -> bool:
    try:
        check_size(COSTS, body, key=bytes(HEADERS_BYTES), headers={})
    except ValueError:
        return False
    return True
