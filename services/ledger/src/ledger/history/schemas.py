"""Where figures come from, as the routes answer it."""

from datetime import date
from enum import StrEnum
from typing import Literal
from uuid import UUID

from contract.fields import Instant, Trigger
from contract.messages import AnswerHash
from contract.money import Usd
from pydantic import BaseModel, ConfigDict


class _Schema(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Reason(StrEnum):
    """Why a day is not covered, or is not what xAI reported last. More values may follow."""

    NOT_READ = "not_read"
    READ_BEFORE_ITS_END = "read_before_its_end"
    NOT_RECONCILED = "not_reconciled"
    QUESTIONED = "questioned"


SENTENCES = {
    Reason.NOT_READ: "It has not been read yet.",
    Reason.READ_BEFORE_ITS_END: "It was read before it was over, and not since.",
    Reason.NOT_RECONCILED: "It was read, but its costs did not arrive whole: it is read again.",
    Reason.QUESTIONED: "xAI reports much less of it than before, or absurdly much: it is asked again.",
}


class IntegrationCoverage(_Schema):
    """A UTC day of an integration."""

    integration_id: UUID
    covered: bool
    """It was read after the day's end; today: ever."""
    usd: Usd | None
    """Null: not read. Zero: read, and without costs."""
    observed_at: Instant | None
    """Of its newest reading; null: not read."""
    provisional: bool
    """It may still change: read less than 7 days after its end."""
    restated: bool
    """A reading after the day's end reported something else, which was replaced since: `/revisions` has it."""
    reason: Reason | None
    """Why it is not covered; also of a covered day that its newest reading did not bring, so that former costs remain."""
    why: str | None
    """`reason` as a sentence."""


class DayCoverage(_Schema):
    """A UTC day of an account."""

    day: date
    covered: bool
    """At least one integration is expected to have the day, and each has it."""
    integrations: list[IntegrationCoverage]
    """Those that are expected to have the day, and those that have it all the same."""


class Coverage(_Schema):
    """A row for every requested day: read or not, and when."""

    days: list[DayCoverage]
    next_cursor: str | None
    """For `cursor`, where days are left for another page; null on the last one."""


class LabelCost(_Schema):
    """The cost of one label."""

    label: str
    product: str | None
    model: str
    usd: Usd


class _Former(_Schema):
    usd: Usd
    costs: list[LabelCost]
    valid_from: Instant
    """When the first reading that reported it was made."""
    valid_to: Instant
    """When the reading that replaced it was made."""
    replaced_by: UUID
    """That reading."""


class Revision(_Former):
    """What was known of a day before a reading with other costs."""

    integration_id: UUID
    day: date
    new_usd: Usd
    """What the day's costs were changed to."""
    reading_id: UUID
    """The last reading that reported it."""


class Revisions(_Schema):
    """What changed, the last change first."""

    currency: Literal["USD"] = "USD"
    revisions: list[Revision]
    next_cursor: str | None
    """For `cursor`, with the same other parameters; null on the last page."""


class Reading(_Schema):
    """One answer of xAI, and why it was requested. Until its window is complete only its ID is known."""

    reading_id: UUID
    observed_at: Instant | None = None
    """Instant before the call to xAI."""
    first_day: date | None = None
    last_day: date | None = None
    """Included: the window that was read."""
    trigger: Trigger | None = None
    request_ids: list[str] | None = None
    """The requests that the window answers."""
    answers: list[AnswerHash] | None = None
    """Hashes of xAI's answers; null where they were not recorded."""
    reconciled: bool | None = None
    """Whether every day of the window is stored."""
    stored_at: Instant | None = None
    """When the window was complete in the ledger; null also where that was not recorded."""


class FormerValue(_Former):
    """What a day's costs were before."""

    reading: Reading
    """The last reading that reported it."""


class IntegrationDay(_Schema):
    """The life of a day's figure of one integration."""

    integration_id: UUID
    covered: bool
    provisional: bool
    usd: Usd | None
    """Null: not read."""
    costs: list[LabelCost]
    valid_from: Instant | None
    """When the first of the equal readings was made that report it."""
    reading: Reading | None
    """The newest one; null: not read."""
    reason: Reason | None
    """As in `/coverage`."""
    why: str | None
    former: list[FormerValue]
    """The last replaced first, at most 10; `/revisions` has all."""


class LifeOfADay(_Schema):
    """Where the figures of a day come from."""

    currency: Literal["USD"] = "USD"
    day: date
    covered: bool
    """At least one integration is expected to have the day, and each has it."""
    usd: Usd | None
    """Sum of what is known, on all pages; null where nothing is."""
    integrations: list[IntegrationDay]
    """By their IDs."""
    next_cursor: UUID | None
    """For `cursor`; null on the last page."""
