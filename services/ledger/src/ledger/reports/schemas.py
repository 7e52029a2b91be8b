"""What the routes of reports answer. Shares and changes are JSON numbers; money is text."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from contract.fields import Instant
from contract.money import Usd
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

Ratio = Annotated[
    Decimal,
    PlainSerializer(float, return_type=float, when_used="json"),
    WithJsonSchema({"type": "number", "examples": [0.1234]}),
]
"""Rounded to 4 places; 0.25 is a quarter."""


class Report(BaseModel):
    """A part of a report."""

    model_config = ConfigDict(use_attribute_docstrings=True, validate_by_name=True, serialize_by_alias=True)


class ModelSum(Report):
    """A model and what it cost."""

    model: str
    usd: Usd


class Comparison(Report):
    """The span that a period is compared with: as many days as the period has finished ones."""

    from_: Annotated[date, Field(alias="from")]
    to: date
    usd: Usd | None
    """Sum of what is known; null where nothing is."""
    change: Ratio | None
    """(period - before) / before, over finished days; null where there is no comparison."""
    why: str | None
    """Why there is no comparison; null where there is one."""


class _Period(Report):
    currency: Literal["USD"] = "USD"
    from_: Annotated[date, Field(alias="from")]
    to: date
    """Included; UTC days."""
    usd: Usd | None
    """Sum of what is known, today included; null where nothing is."""
    missing_days: list[date]
    """Days of the period that are not covered, today included: they are in no sum and no average."""
    previous: Comparison


class Summary(_Period):
    """An account's costs over a period."""

    daily_average_usd: Usd | None
    """Over the covered days, to the nearest 1e-10; null where there are none."""
    covered_days: int
    """Finished days of the period that every expected integration has read."""
    top_model: ModelSum | None
    """The most expensive model of the period, whatever labels name it; null where nothing cost anything."""
    data_as_of: Instant | None
    """The oldest of the integrations' newest readings of the period; null where nothing was read."""
    provisional_from: date | None
    """The first day of the period that may still change; null where there is none."""


class BreakdownRow(Report):
    """What one model, label, product or integration cost; it has the one of the four by which the report is broken down."""

    model: str | None = None
    """Of a label, too: the model that it names."""
    label: str | None = None
    product: str | None = None
    """Null: labels that name no product."""
    integration: UUID | None = None
    usd: Usd
    share: Ratio | None
    """Of the period's sum; null where that is zero."""
    days: int
    """Days of the period on which it cost something."""
    change: Ratio | None
    """Against the span before, over finished days; null where not comparable, as for the period."""
    daily: list[Usd] | None = None
    """With `daily=true`: what it cost on each day of the period, in order; `missing_days` are not known, or not whole."""


class Breakdown(_Period):
    """What a period's costs are made of, dearest first; rows sum to `usd` to the last digit."""

    rows: list[BreakdownRow]
