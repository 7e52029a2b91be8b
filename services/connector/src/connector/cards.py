"""What the API says: integrations as cards, syncs as lines, tests as answers. Never a key in any form."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from common.fields import Instant, Label, Plan, RequestId, Status
from common.money import Usd
from common.problems import CAUSES, Code
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from connector.connection import Fails, Typed, Works
from connector.domain import STATUS_TEXT, next_sync
from connector.history import Sync
from connector.store import Integration

FieldText = Annotated[str, Field(max_length=10_000)]


class _Body(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)


class Credentials(_Body):
    """A team and its key, as a person typed them: what is wrong with them is said by the test, not by the form."""

    team_id: FieldText
    management_key: Annotated[SecretStr, Field(max_length=10_000)]

    def typed(self) -> Typed:
        return Typed(self.team_id.strip(), self.management_key.get_secret_value().strip())


class NewIntegration(Credentials):
    """A team to connect."""

    plan: Plan
    label: Label | None = None


class SyncWish(_Body):
    """A person asks (`force`), or looks (`visit`)."""

    trigger: Literal["force", "visit"] = "force"
    request_id: RequestId | None = None


class TestAnswer(BaseModel):
    """Whether xAI accepts the key for the team; if not, why and what to do."""

    ok: bool
    labels: list[str] | None = None
    """What was used yesterday and today."""
    code: Code | None = None
    title: str
    detail: str
    hints: list[str] = []


class SyncAccepted(BaseModel):
    """The broker has the request."""

    request_id: str


class SyncLine(BaseModel):
    """How a window ended, or why it waits."""

    trigger: str
    request_ids: list[str]
    first_day: date | None
    last_day: date | None
    usd: Usd | None
    days_changed: int | None
    reconciled: bool | None
    code: str | None
    detail: str | None
    final: bool
    attempts: int
    next_attempt_at: Instant | None
    observed_at: Instant | None
    at: Instant


class Backfill(BaseModel):
    """How far the history has been filled in."""

    first_day: date
    last_day: date
    days_expected: int
    days_read: int


class LastSync(BaseModel):
    """The newest reading that the ledger has."""

    at: Instant | None
    first_day: date | None
    last_day: date | None
    usd: Usd | None


class Card(BaseModel):
    """An integration, as its card shows it."""

    integration_id: UUID
    account_id: str
    team_id: str
    label: str
    plan: Plan
    status: Status
    status_code: Code | None
    status_text: str
    status_detail: str | None
    """What is wrong and the next step; null where nothing is."""
    status_since: Instant
    version: int
    credential_version: int
    added_at: Instant
    history_from: date
    changed_at: Instant
    last_sync: LastSync | None
    next_sync: Instant
    backfill: Backfill


class Cards(BaseModel):
    """All integrations of an account."""

    integrations: list[Card]


class Syncs(BaseModel):
    """The history, newest first."""

    syncs: list[SyncLine]


def card_of(row: Integration, last: Sync | None, days_read: int, now: datetime) -> Card:
    expected = (row.backfill_last - row.backfill_first).days + 1
    shown = {name: getattr(row, name) for name in Card.model_fields if hasattr(row, name)}
    return Card(
        **shown,
        status_text=CAUSES[row.status_code].title if row.status_code else STATUS_TEXT[row.status],
        status_detail=CAUSES[row.status_code].detail if row.status_code else None,
        last_sync=LastSync(at=last.observed_at, first_day=last.first_day, last_day=last.last_day, usd=last.usd)
        if last
        else None,
        next_sync=next_sync(now),
        backfill=Backfill(
            first_day=row.backfill_first, last_day=row.backfill_last, days_expected=expected, days_read=days_read
        ),
    )


def line_of(sync: Sync) -> SyncLine:
    shown = {name: getattr(sync, name) for name in SyncLine.model_fields if hasattr(sync, name)}
    return SyncLine(**shown, detail=CAUSES[Code(sync.code)].detail if sync.code else None, at=sync.recorded_at)


def answer_of(result: Works | Fails) -> TestAnswer:
    if isinstance(result, Works):
        used = (
            "Used yesterday or today: " + ", ".join(result.labels) if result.labels else "No use yesterday and today."
        )
        return TestAnswer(ok=True, labels=list(result.labels), title="The connection works", detail=used)
    return TestAnswer(
        ok=False, code=result.code, title=CAUSES[result.code].title, detail=result.detail, hints=list(result.hints)
    )
