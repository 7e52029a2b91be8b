"""What connector and ledger answer, as far as it is shown; their documents describe every field."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """A part of an answer; fields that are not shown are ignored."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class Comparison(Answer):
    """The span that a period is compared with."""

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    usd: Decimal | None
    change: Decimal | None
    why: str | None


class ModelSum(Answer):
    """A model and what it cost."""

    model: str
    usd: Decimal


class Period(Answer):
    """What all reports have."""

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    usd: Decimal | None
    missing_days: list[date]
    previous: Comparison


class Summary(Period):
    """An account's costs over a period."""

    daily_average_usd: Decimal | None
    covered_days: int
    top_model: ModelSum | None
    data_as_of: datetime | None
    provisional_from: date | None


class ModelDays(Answer):
    """What a model cost on each day of a period."""

    model: str
    daily: list[Decimal]


class DailyBreakdown(Answer):
    """Its models, day by day; the models of a day sum to the day."""

    first: date = Field(alias="from")
    rows: list[ModelDays]


class DayCosts(Answer):
    """One UTC day."""

    day: date
    covered: bool
    provisional: bool
    usd: Decimal | None
    restated: bool
    missing: list[UUID]


class Costs(Answer):
    """A row for every day."""

    integrations: int
    days: list[DayCosts]


class Card(Answer):
    """An integration, as the connector describes it."""

    integration_id: UUID
    label: str
    status: str
    status_text: str
    status_detail: str | None
    """What is wrong, and the next step."""
    questioned_days: list[date]
    data_as_of: datetime | None
    next_sync: datetime | None


class Cards(Answer):
    """All integrations of an account."""

    integrations: list[Card]


class Row(Answer):
    """What one model or label cost in a period."""

    model: str | None = None
    label: str | None = None
    usd: Decimal
    share: Decimal | None
    days: int
    change: Decimal | None
    daily: list[Decimal] | None = None
    """Where it was asked with `daily`: on each day of the period."""


class Breakdown(Period):
    """What a period's costs are made of; the rows sum to `usd`."""

    rows: list[Row]


class LabelCost(Answer):
    """The cost of one label."""

    label: str
    model: str
    usd: Decimal


class AnswerHash(Answer):
    """One answer of xAI."""

    first_day: date
    last_day: date
    sha256: str


class Reading(Answer):
    """One reading of xAI, and why it was requested; of an older one, parts are not known."""

    reading_id: UUID
    observed_at: datetime | None
    first_day: date | None
    last_day: date | None
    trigger: str | None
    request_ids: list[str] | None
    answers: list[AnswerHash] | None
    reconciled: bool | None
    stored_at: datetime | None


class FormerValue(Answer):
    """What a day's costs were before."""

    usd: Decimal
    costs: list[LabelCost]
    valid_from: datetime
    valid_to: datetime
    reading: Reading


class IntegrationDay(Answer):
    """A day's figure of one integration, and where it comes from."""

    integration_id: UUID
    covered: bool
    provisional: bool
    usd: Decimal | None
    costs: list[LabelCost]
    valid_from: datetime | None
    reading: Reading | None
    reason: str | None
    why: str | None
    former: list[FormerValue]


class LifeOfADay(Answer):
    """Where the figures of a day come from."""

    day: date
    covered: bool
    usd: Decimal | None
    integrations: list[IntegrationDay]
    next_cursor: UUID | None
