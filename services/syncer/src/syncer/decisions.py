"""What became of an attempt, as it is stored before anything is published: a crash later publishes it again, word for word."""

from datetime import date
from typing import Annotated, Literal

from common.kafka.publisher import Publisher, all_of, check_size
from contract.fields import Instant
from contract.messages import Cost, CostRecorded, SyncFailed, WindowRead, day_usd
from contract.topics import COSTS, SYNC_OUTCOMES
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from xai_usage import Reading

from syncer.domain import product_and_model

HEADERS_BYTES = 1_000
"""Room for the headers and the key of a record."""


class ReadingDecision(BaseModel):
    """xAI answered: these days are published, and then the window."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    kind: Literal["reading"] = "reading"
    days: tuple[CostRecorded, ...]
    window: WindowRead


class FailureDecision(BaseModel):
    """The window could not be read: this is published; the window ends, or waits for its next attempt."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    kind: Literal["failure"] = "failure"
    event_id: str
    at: Instant
    outcome: SyncFailed


Decision = ReadingDecision | FailureDecision
_DECISION: TypeAdapter[Decision] = TypeAdapter(Annotated[Decision, Field(discriminator="kind")])


def parse_decision(text: str) -> Decision:
    return _DECISION.validate_json(text)


def decide_reading(reading: Reading, window: WindowRead) -> ReadingDecision:
    """What is published of `reading`; `window` brings everything but the totals. Days too large for a record count as cut."""
    days = tuple(_day(day, reading, window) for day in sorted(reading.days))
    kept = tuple(day for day in days if _fits(day))
    return ReadingDecision(days=kept, window=window.model_copy(update={"totals": {day.day: day.usd for day in kept}}))


def _day(day: date, reading: Reading, window: WindowRead) -> CostRecorded:
    costs = tuple(_cost(label, reading) for label, reading in sorted(reading.days[day].items()))
    return CostRecorded(
        account_id=window.account_id,
        integration_id=window.integration_id,
        day=day,
        usd=day_usd(costs),
        costs=costs,
        reading_id=window.reading_id,
        observed_at=window.observed_at,
    )


def _cost(label: str, usd: object) -> Cost:
    product, model = product_and_model(label)
    return Cost.model_validate({"label": label, "product": product, "model": model, "usd": usd})


def _fits(day: CostRecorded) -> bool:
    try:
        check_size(COSTS, day.model_dump_json().encode(), key=bytes(HEADERS_BYTES), headers={})
    except ValueError:
        return False
    return True


async def publish(decision: Decision, publisher: Publisher) -> None:
    """Publish what was decided; WindowRead only after all of its days are acknowledged. A second time gives the same bytes."""
    if isinstance(decision, FailureDecision):
        outcome = decision.outcome
        key = str(outcome.integration_id)
        await publisher.publish(SYNC_OUTCOMES, outcome, key=key, event_id=decision.event_id, at=decision.at)
        return
    window = decision.window
    key, at = str(window.integration_id), window.observed_at
    await all_of(
        publisher.publish(COSTS, day, key=key, event_id=f"{day.reading_id}:{day.day}", at=at) for day in decision.days
    )
    await publisher.publish(COSTS, window, key=key, event_id=f"{window.reading_id}:window", at=at)
