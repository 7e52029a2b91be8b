"""What the events of an account carry."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from contract.fields import History, Instant, Plan, Status
from contract.problems import Code
from pydantic import BaseModel, ConfigDict, Field

from connector.schemas import Backfill, SyncLine


class IntegrationBody(BaseModel):
    """Body of an `integration` event: the card's fields of identity and status, with their meaning there."""

    model_config = ConfigDict(from_attributes=True)

    integration_id: UUID
    team_id: str
    label: str
    plan: Plan
    status: Status
    status_code: Code | None
    status_text: str
    status_detail: str | None
    questioned_days: list[date]
    status_since: Instant
    version: int
    credential_version: int
    history: History | None
    removed_at: Instant | None
    backfill: Backfill


class IntegrationEvent(IntegrationBody):
    """The state of an integration, in the snapshot or after a change."""

    event: Literal["integration"]


class SyncEvent(SyncLine):
    """How a sync of an integration ended, or why it waits for a retry."""

    event: Literal["sync"]
    integration_id: UUID


class PresentEvent(BaseModel):
    """The end of the snapshot: an integration that is not named no longer exists."""

    event: Literal["present"]
    integration_ids: list[UUID]


AnyEvent = Annotated[IntegrationEvent | SyncEvent | PresentEvent, Field(discriminator="event")]
"""The `data` of an event."""
