"""Bodies of the API, for its document: what is sent is text (`daily_costs`), and tests compare both."""

from datetime import date
from typing import Literal
from uuid import UUID

from contract.money import Usd
from pydantic import BaseModel, ConfigDict


class _Schema(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class ModelCost(_Schema):
    """The cost of one label; with `by=model` of one model."""

    integration_id: UUID
    label: str
    """With `by=model` the model's name."""
    product: str | None
    """With `by=model` null."""
    model: str
    usd: Usd


class DayCosts(_Schema):
    """One UTC day."""

    day: date
    covered: bool
    """At least one integration is expected to have the day, and each has it, read after the day's end (today: ever)."""
    provisional: bool
    """It may still change: read less than 7 days after its end."""
    restated: bool
    """What was reported of it after its end has been replaced since: `/revisions` and `/days/{day}` have what it was."""
    usd: Usd | None
    """Sum of what is known; null where nothing is."""
    missing: list[UUID]
    """Integrations that are expected to have the day, but do not."""
    models: list[ModelCost]
    """Empty with `by=day`."""


class Costs(_Schema):
    """A row for every requested day."""

    currency: Literal["USD"] = "USD"
    integrations: int
    """Whose costs are shown, removed ones that kept them included; 0: the account has connected no team."""
    days: list[DayCosts]
    next_cursor: str | None
    """For `cursor`, where `limit` left days for another page; null on the last one."""
