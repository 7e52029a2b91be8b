"""Every message of the system, declared once. `ce_type` is the name of the class.

Unknown fields are ignored, new ones optional. Money is a decimal string, a day an ISO date, an instant RFC 3339 in UTC.
"""

from itertools import pairwise
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contract.fields import AccountId, Day, History, Instant, Label, Plan, RequestId, Status, TeamId, Text, Trigger
from contract.money import Usd, total
from contract.problems import Code

MAX_WINDOW_DAYS = 400
"""More than xAI answers at once, and as long as costs are kept on their topic."""


class Message(BaseModel):
    """Frozen; errors do not show its values, which may be a customer's."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)


class _Integration(Message):
    """The whole state of an integration after a change, without secrets. Act on the state, not on the event's type."""

    integration_id: UUID
    account_id: AccountId
    team_id: TeamId
    label: Label
    plan: Plan
    status: Status
    status_code: Code | None = None
    version: Annotated[int, Field(ge=1)]
    """Grows by one with every change; the highest seen is the state."""
    credential_version: Annotated[int, Field(ge=1)]
    history: History | None = None
    """Set where the integration is removed."""
    added_at: Instant
    removed_at: Instant | None = None
    history_from: Day
    """First UTC day that the integration is expected to cover; it never moves later."""
    changed_at: Instant


class IntegrationAdded(_Integration):
    """An account connected a team."""


class IntegrationChanged(_Integration):
    """Label, plan, status or credential changed."""


class IntegrationRemoved(_Integration):
    """The account removed the integration: calls stop; `history` decides whether its costs are kept."""


class CredentialSealed(Message):
    """A Management API key, sealed: connector writes, syncer reads, nobody else."""

    integration_id: UUID
    account_id: AccountId
    credential_version: Annotated[int, Field(ge=1)]
    wrap_version: Annotated[int, Field(ge=1)]
    """Grows when the same credential is wrapped by another key-encryption key."""
    envelope: dict[str, str]
    """As written by `common.crypto.sealing`; names its format and key ID."""


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
        if any(one.label >= other.label for one, other in pairwise(self.costs)):
            raise ValueError("costs are sorted by label, one entry a label")
        if total(cost.usd for cost in self.costs) != self.usd:
            raise ValueError("usd is not the sum of costs")
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


class WindowRead(_Window):
    """Every day of a reading has been published; the ledger proves that it holds them."""

    reading_id: UUID
    observed_at: Instant
    totals: dict[Day, Usd]
    """Every day that was read; a day of the window that is missing here was cut off by xAI."""
    credential_version: Annotated[int, Field(ge=1)]


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


class _Command(Message):
    command_id: RequestId
    account_id: AccountId
    expires_at: Instant
    """At most 7 days ahead."""


class AddIntegration(_Command):
    """Connect a team."""

    team_id: TeamId
    label: Label | None = None
    plan: Plan
    sealed_key: Text
    """The Management API key, sealed to the connector's public key."""


class ReplaceCredential(_Command):
    """Replace the key of an integration in place."""

    integration_id: UUID
    sealed_key: Text


class RenameIntegration(_Command):
    """Change the label of an integration."""

    integration_id: UUID
    label: Label


class ChangePlan(_Command):
    """Change the plan of the account."""

    plan: Plan


class RemoveIntegration(_Command):
    """Remove an integration; `history` decides whether its costs are kept."""

    integration_id: UUID
    history: History


class CommandSucceeded(Message):
    """A command took effect."""

    command_id: RequestId
    account_id: AccountId
    integration_id: UUID | None = None


class CommandRejected(CommandSucceeded):
    """A command had no effect; `code` and `detail` are the reason."""

    code: Code
    detail: Text


IntegrationState = IntegrationAdded | IntegrationChanged | IntegrationRemoved
INTEGRATION_STATES = (IntegrationAdded, IntegrationChanged, IntegrationRemoved)
Command = AddIntegration | ReplaceCredential | RenameIntegration | ChangePlan | RemoveIntegration
COMMANDS = (AddIntegration, ReplaceCredential, RenameIntegration, ChangePlan, RemoveIntegration)
