"""Requests to read costs, and how the windows that they became ended."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from contract.fields import AccountId, Day, Instant, RequestId, Trigger
from contract.messages.base import Message
from contract.money import Usd
from contract.problems import Code

MAX_WINDOW_DAYS = 400
"""More than xAI answers at once, and as long as costs are kept on their topic."""
OPTIONAL = Field(exclude_if=lambda value: value is None)
"""Of a field that older records lack: it is written only where there is something, so that they are repeated byte for byte."""


class SyncRequested(Message):
    """A request to read costs: of one integration, or of all active ones."""

    request_id: RequestId
    trigger: Trigger
    integration_id: UUID | None = None
    """None: all active integrations."""
    first_day: Day | None = None
    """None: the trigger's default, the 7 days before today."""
    last_day: Day | None = None
    requested_at: Instant

    @model_validator(mode="after")
    def _range_is_whole(self) -> Self:
        if (self.first_day is None) != (self.last_day is None):
            raise ValueError("first_day and last_day come together")
        if self.first_day and self.last_day and self.first_day > self.last_day:
            raise ValueError("first_day is after last_day")
        return self


class _Window(Message):
    account_id: AccountId
    integration_id: UUID
    first_day: Day
    last_day: Day
    """Included."""
    trigger: Trigger
    request_ids: tuple[RequestId, ...]

    @model_validator(mode="after")
    def _range_is_sensible(self) -> Self:
        if not 0 <= (self.last_day - self.first_day).days < MAX_WINDOW_DAYS:
            raise ValueError(f"a window has 1 to {MAX_WINDOW_DAYS} days")
        return self


class AnswerHash(Message):
    """One answer of xAI that a reading is made of, and the days of its question."""

    first_day: Day
    last_day: Day
    """Included."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the answer as it came, decompressed."""


class WindowRead(_Window):
    """Every day of a reading has been published; the ledger proves that it holds them."""

    reading_id: UUID
    observed_at: Instant
    totals: dict[Day, Usd]
    """Every day that was read and believed; a day of the window that is missing here is questioned, or was cut off by xAI."""
    credential_version: Annotated[int, Field(ge=1)]
    questioned_days: Annotated[tuple[Day, ...] | None, OPTIONAL] = None
    """Days of which the reading reports much less than before, or absurdly much: asked again before they are believed."""
    beyond_xai_until: Annotated[Day | None, OPTIONAL] = None
    """Last day for which xAI refused to answer because it is too old; the window begins after it."""
    answers: Annotated[tuple[AnswerHash, ...] | None, OPTIONAL] = None
    """What the reading is made of, oldest days first."""


class SyncCompleted(_Window):
    """The ledger holds what WindowRead announced, or lists the days that it does not hold."""

    reading_id: UUID
    observed_at: Instant
    credential_version: Annotated[int, Field(ge=1)]
    usd: Usd
    """Sum of the window's days that were read."""
    days_changed: Annotated[int, Field(ge=0)]
    """Revisions that this reading caused."""
    reconciled: bool
    unreconciled_days: tuple[Day, ...] = ()
    changed_days: Annotated[tuple[Day, ...] | None, OPTIONAL] = None
    """The days that this reading changed."""
    questioned_days: Annotated[tuple[Day, ...] | None, OPTIONAL] = None
    """As in WindowRead: nothing was stored for them, and their former costs remain."""
    beyond_xai_until: Annotated[Day | None, OPTIONAL] = None
    """As in WindowRead."""


class SyncFailed(Message):
    """A window could not be read: it is retried, or abandoned (`final`)."""

    account_id: AccountId | None = None
    """None where the integration is unknown (`not_found`)."""
    integration_id: UUID
    trigger: Trigger
    request_ids: tuple[RequestId, ...]
    first_day: Day | None = None
    last_day: Day | None = None
    code: Code
    final: bool
    """There will be no retry."""
    attempts: Annotated[int, Field(ge=0)]
    next_attempt_at: Instant | None = None
    credential_version: Annotated[int, Field(ge=1)] | None = None
    observed_at: Instant | None = None
    """None where xAI was not called: such an outcome does not change the card's status."""
