"""Integrations and their sealed keys, as the connector announces them."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from contract.fields import AccountId, Day, History, Instant, Label, Plan, Status, TeamId
from contract.messages.base import Message
from contract.problems import Code


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
    """First UTC day that is expected to be covered; it moves later only over days that xAI refuses and that were never read."""
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


IntegrationState = IntegrationAdded | IntegrationChanged | IntegrationRemoved
INTEGRATION_STATES = (IntegrationAdded, IntegrationChanged, IntegrationRemoved)
