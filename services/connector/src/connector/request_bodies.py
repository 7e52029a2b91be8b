"""What clients send: each model is the body of a route, and refuses members that it does not know."""

from typing import Literal, Self

from contract.fields import Day, Label, Plan, RequestId
from contract.messages import MAX_WINDOW_DAYS
from pydantic import BaseModel, ConfigDict, model_validator

from connector.connection_check import Credentials, KeyText


class _Request(BaseModel):
    """What a client sends: an unknown member would mean something that is not done."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


class NewIntegration(Credentials):
    """A team to connect."""

    plan: Plan | None = None
    """The account's from now on; without one, the account keeps its own, and a new account is on `free`."""
    label: Label | None = None


class NewKey(_Request):
    """A key that replaces the current one."""

    management_key: KeyText


class NewLabel(_Request):
    """Another name for an integration."""

    label: Label


class NewPlan(_Request):
    """The account's plan."""

    plan: Plan


class SyncOptions(_Request):
    """A person requests costs (`force`), or views them (`visit`)."""

    trigger: Literal["force", "visit"] = "force"
    request_id: RequestId | None = None
    first_day: Day | None = None
    """First UTC day to read, with `last_day`; without both: the 7 days before today, and today."""
    last_day: Day | None = None
    """Included; a request covers at most 400 days, and xAI has figures of the last 90."""

    @model_validator(mode="after")
    def _range_is_whole(self) -> Self:
        if (self.first_day is None) != (self.last_day is None):
            raise ValueError("first_day and last_day come together")
        if self.first_day and self.last_day and not 0 <= (self.last_day - self.first_day).days < MAX_WINDOW_DAYS:
            raise ValueError(
                f"first_day must not be after last_day, and a request covers at most {MAX_WINDOW_DAYS} days"
            )
        return self
