"""Costs of a day, label by label."""

from operator import ge
from typing import Self
from uuid import UUID

from pydantic import model_validator

from contract.fields import AccountId, Day, Instant, Text
from contract.messages.base import Message
from contract.money import Usd, total


class Cost(Message):
    """The cost of one label on one day."""

    label: Text
    """As xAI wrote it."""
    product: Text | None = None
    """The kind of product that the label names, such as `Chat`; None where it names none."""
    model: Text
    """The model that the label names; the whole label where it does not fit."""
    usd: Usd


class CostRecorded(Message):
    """All costs of one UTC day in one reading: they replace those of an older reading. Empty days are recorded too."""

    account_id: AccountId
    integration_id: UUID
    day: Day
    usd: Usd
    """Sum of `costs`, exact."""
    costs: tuple[Cost, ...]
    """Sorted by label, one entry a label, zero amounts left out."""
    reading_id: UUID
    observed_at: Instant
    """Instant before the call to xAI; a newer one replaces an older one."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        labels = [cost.label for cost in self.costs]
        if any(map(ge, labels, labels[1:])):
            raise ValueError("costs are sorted by label, one entry a label")
        if total([cost.usd for cost in self.costs]) != self.usd:
            raise ValueError("usd is not the sum of costs")
        return self
