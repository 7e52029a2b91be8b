"""Bodies of the API: integrations as cards, syncs as lines, tests as answers. Never a key in any form."""

from datetime import date, datetime, timedelta
from uuid import UUID

from contract.fields import History, Instant, Plan, Status
from contract.money import Usd, plain
from contract.problems import Code, cause_of
from pydantic import BaseModel, ConfigDict

from connector.connection_check import Failed, Passed
from connector.domain import STATUS_TEXT, Health, next_sync, questioned_text
from connector.store import Integration
from connector.syncs import Progress, Sync

SYNC_DETAILS = {
    Code.NOT_FOUND: "The integration was removed before these days were read.",
    Code.EXPIRED: "The request was over 7 days old when it arrived, so xAI was not called. Force Sync reads the newest costs.",
    Code.REQUEST_MALFORMED: "The request was dated over an hour ahead, so xAI was not called. Check the clock of its program.",
}
"""Where a code's own sentence is about an HTTP request or a command."""


class _Schema(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True, use_attribute_docstrings=True)


class AccountPlan(_Schema):
    """The account's plan, as it is now."""

    plan: Plan


class TestAnswer(_Schema):
    """Whether xAI accepts the key for the team; if not, why, and the next step."""

    ok: bool
    labels: list[str] | None = None
    """What was used yesterday and today."""
    code: Code | None = None
    title: str
    detail: str
    hints: list[str] = []


class SyncAccepted(_Schema):
    """The broker has the request."""

    request_id: str


class SyncLine(_Schema):
    """How a window ended, or why it waits for a retry."""

    trigger: str
    request_ids: list[str]
    first_day: date | None
    last_day: date | None
    usd: Usd | None
    days_changed: int | None
    reconciled: bool | None
    questioned_days: list[date]
    """Days of which xAI reported less than before: their former costs remain, and xAI is asked again."""
    code: str | None
    detail: str | None
    final: bool
    attempts: int
    next_attempt_at: Instant | None
    observed_at: Instant | None
    at: Instant


class Backfill(_Schema):
    """How far the history has been filled in."""

    first_day: date
    last_day: date
    days_expected: int
    days_read: int


class LastSync(_Schema):
    """The newest reading that the ledger has."""

    at: Instant | None
    first_day: date | None
    last_day: date | None
    usd: Usd | None
    text: str
    """The same in words: no use in these days is no error."""


class Card(_Schema):
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
    questioned_days: list[date]
    """Days of which xAI reports less than before: their former costs remain, and xAI is asked again."""
    status_since: Instant
    version: int
    credential_version: int
    history: History | None
    """Of a removed integration: whether its costs were kept."""
    added_at: Instant
    removed_at: Instant | None
    history_from: date
    figures_since: date | None
    """First day for which xAI has figures, where it refuses to report older ones; null where it does not."""
    changed_at: Instant
    data_as_of: Instant | None
    """When the newest figures of the ledger were read from xAI; null before the first."""
    last_sync: LastSync | None
    next_sync: Instant | None
    """The next automatic one; null where none is due until a person acts."""
    backfill: Backfill


class Cards(_Schema):
    """All integrations of an account."""

    integrations: list[Card]


class Syncs(_Schema):
    """The history, newest first."""

    syncs: list[SyncLine]


def card_of(progress: Progress, last: Sync | None, now: datetime) -> Card:
    """`last`: the newest reading that the ledger has."""
    row, questioned = progress.integration, progress.questioned
    backfill = Backfill(
        first_day=row.backfill_first,
        last_day=row.backfill_last,
        days_expected=max(0, (row.backfill_last - row.backfill_first).days + 1),
        days_read=progress.days_read,
    )
    fields = {name: getattr(row, name) for name in Card.model_fields if hasattr(row, name)}
    code = row.status_code or (Code.ANSWER_QUESTIONED if questioned else None)
    since = row.beyond_xai_until + timedelta(days=1) if row.beyond_xai_until else None
    return Card(
        **fields,
        figures_since=since,
        status_text=_status_text(row, backfill, len(questioned))
        + (f", xAI has figures since {since}" if since else ""),
        status_detail=cause_of(code).detail if code else None,
        questioned_days=questioned,
        data_as_of=last.observed_at if last else None,
        last_sync=_last_sync(last) if last else None,
        next_sync=next_sync(Health(row.status, row.status_code), row.status_since, now),
        backfill=backfill,
    )


def _status_text(row: Integration, backfill: Backfill, questioned: int) -> str:
    if row.status_code:
        return cause_of(row.status_code).title
    if row.status is Status.BACKFILLING:
        return f"{STATUS_TEXT[row.status]}: {backfill.days_read} of {backfill.days_expected} days"
    return questioned_text(questioned) if questioned else STATUS_TEXT[row.status]


def _last_sync(sync: Sync) -> LastSync:
    days = f"{sync.first_day} to {sync.last_day}"
    text = f"{plain(sync.usd)} USD from {days}" if sync.usd else f"No use from {days}"
    return LastSync(at=sync.observed_at, first_day=sync.first_day, last_day=sync.last_day, usd=sync.usd, text=text)


def line_of(sync: Sync) -> SyncLine:
    fields = {name: getattr(sync, name) for name in SyncLine.model_fields if hasattr(sync, name)}
    return SyncLine(**fields, detail=_line_detail(sync), at=sync.recorded_at)


def _line_detail(sync: Sync) -> str | None:
    if sync.questioned_days:
        return questioned_text(len(sync.questioned_days))
    code = Code(sync.code) if sync.code else None
    return (SYNC_DETAILS.get(code) or cause_of(code).detail) if code else None


def response_of(result: Passed | Failed) -> TestAnswer:
    if isinstance(result, Passed):
        used = (
            "Used yesterday or today: " + ", ".join(result.labels) if result.labels else "No use yesterday and today."
        )
        return TestAnswer(ok=True, labels=list(result.labels), title="The connection works", detail=used)
    return TestAnswer(
        ok=False, code=result.code, title=cause_of(result.code).title, detail=result.detail, hints=list(result.hints)
    )
