"""Which days are covered, as the ledger confirms it; and the raw answers behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from common.database import Pipeline
from contract.messages import SyncCompleted
from contract.rules import SETTLED_AFTER, readable_from
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.domain import READ_BY, TRUSTED_FOR, Heal, heal_pause

_NEWEST = """
    SELECT integration_id, day, max(observed_at)
    FROM unnest(%(ids)b::uuid[], %(days)b::date[], %(observed)b::timestamptz[]) new(integration_id, day, observed_at)
    WHERE NOT EXISTS (SELECT FROM integrations i WHERE i.integration_id = new.integration_id AND i.removed)
    GROUP BY integration_id, day ORDER BY integration_id, day
"""

_CONFIRM = f"""
    INSERT INTO coverage (integration_id, day, confirmed_at) {_NEWEST}
    ON CONFLICT (integration_id, day) DO UPDATE SET confirmed_at = excluded.confirmed_at, heals = 0, heal_after = NULL
    WHERE coverage.confirmed_at IS NULL OR coverage.confirmed_at < excluded.confirmed_at
"""

_DOUBT = f"""
    INSERT INTO coverage (integration_id, day, unreconciled_at) {_NEWEST}
    ON CONFLICT (integration_id, day) DO UPDATE SET unreconciled_at = excluded.unreconciled_at
    WHERE coverage.unreconciled_at IS NULL OR coverage.unreconciled_at < excluded.unreconciled_at
"""

# Of a day `e` that is expected, with what `coverage` has of it.
_UNCOVERED = "(e.confirmed_at IS NULL OR e.confirmed_at < e.ends_at)"
_UNSETTLED = "e.confirmed_at < e.ends_at + :settled_after AND :now >= e.ends_at + :settled_after"
_UNRECONCILED = "e.unreconciled_at > coalesce(e.confirmed_at, '-infinity')"
_UNQUESTIONED = "NOT EXISTS (SELECT 1 FROM questions q WHERE q.integration_id = e.integration_id AND q.day = e.day)"
_MISSING = f"""(
        (({_UNCOVERED} AND :now >= e.ends_at + :read_by) OR ({_UNSETTLED}) OR {_UNRECONCILED})
        AND i.refused_code IS NULL
        AND (e.heal_after IS NULL OR e.heal_after <= :now)
        AND {_UNQUESTIONED}
        AND NOT coalesce(e.published_at > greatest(e.confirmed_at, e.unreconciled_at, :trusted_from), false)
        AND NOT EXISTS (SELECT 1 FROM windows o WHERE o.integration_id = e.integration_id AND o.closed_at IS NULL
            AND e.day BETWEEN o.first_day AND o.last_day)
    )"""  # noqa: S608 - only constants are put in
# The first and the last day that is expected and over, of each integration, and its days.
_SPANS = """spans AS (
        SELECT integration_id, greatest(history_from, :readable_from, beyond_xai_until + 1) AS first, :today - 1 AS last
        FROM integrations WHERE NOT removed AND {which}
    )"""
_SERIES = "generate_series(first::timestamp, last::timestamp, '1 day') AS d(day)"
_ENDS_AT = "(day + interval '1 day') AT TIME ZONE 'UTC' AS ends_at"
_OF_PORTION = "integration_id = ANY(:ids)"

# `:ids` is there twice: otherwise all days of all integrations could be read for those of one.
_MISSING_DAYS = text(f"""
    WITH {_SPANS.format(which=_OF_PORTION)}, days AS (
        SELECT integration_id, d.day::date AS day FROM spans, {_SERIES}
    ), e AS (
        SELECT *, {_ENDS_AT}
        FROM days LEFT JOIN (SELECT * FROM coverage WHERE {_OF_PORTION}) c USING (integration_id, day)
    )
    SELECT e.integration_id, e.day, coalesce(e.heals, 0) AS heals FROM e JOIN integrations i USING (integration_id)
    WHERE {_MISSING} ORDER BY e.integration_id, e.day
""")  # noqa: S608 - as above

# Nearly all days are settled, and of these nothing but their number is read, from the key: the days of a fleet fill no
# memory. The index `coverage_open` has the others.
OPEN = f"""(c.confirmed_at IS NULL OR c.unreconciled_at > c.confirmed_at
    OR c.confirmed_at < (c.day + {1 + SETTLED_AFTER.days})::timestamp AT TIME ZONE 'UTC')"""


def _about_open_days(which: str, statement: str) -> TextClause:
    """`statement` about the days `e` of the integrations for which `which` is true, but for those that are settled."""
    return text(f"""
        WITH {_SPANS.format(which=which)}, stored AS (
            SELECT integration_id, count(*) AS days FROM coverage c JOIN spans USING (integration_id)
            WHERE {which} AND c.day BETWEEN first AND last GROUP BY integration_id
        ), open AS (
            SELECT integration_id, day, published_at, confirmed_at, unreconciled_at, heal_after
            FROM coverage c JOIN spans USING (integration_id)
            WHERE {which} AND c.day BETWEEN first AND last AND {OPEN}
            UNION ALL
            SELECT integration_id, d.day::date, NULL, NULL, NULL, NULL
            FROM spans s LEFT JOIN stored USING (integration_id), {_SERIES}
            WHERE last - first + 1 > coalesce(days, 0) AND NOT EXISTS (
                SELECT FROM coverage c WHERE c.integration_id = s.integration_id AND c.day = d.day::date)
        ), e AS (
            SELECT *, {_ENDS_AT} FROM open
        )
        {statement}
    """)  # noqa: S608 - as above


# What is covered is left out before anything else is looked up.
_LOOK = _about_open_days(
    _OF_PORTION,
    f"""
        SELECT i.integration_id, bool_or({_MISSING}) AS is_missing, count(*) FILTER (WHERE {_UNRECONCILED}) AS unreconciled,
            min(greatest(e.ends_at, i.added_at))
                FILTER (WHERE {_UNCOVERED} AND i.refused_code IS NULL AND {_UNQUESTIONED}) AS late_since
        FROM e JOIN integrations i USING (integration_id)
        WHERE {_UNCOVERED} OR ({_UNSETTLED}) OR {_UNRECONCILED} GROUP BY i.integration_id
    """,  # noqa: S608 - as above
)
_UNREAD = _about_open_days(
    "true",
    f"""
        SELECT count(*) AS days, count(DISTINCT e.integration_id) AS integrations, min(e.day) AS oldest
        FROM e WHERE {_UNCOVERED}
    """,  # noqa: S608 - as above
)

_NOTE_HEAL = text("""
    INSERT INTO coverage (integration_id, day, heals, heal_after)
    SELECT :id, d::date, :attempt, :after FROM generate_series(CAST(:first AS timestamp), :last, '1 day') d
    ON CONFLICT (integration_id, day) DO UPDATE SET heals = excluded.heals, heal_after = excluded.heal_after
""")


_Day = tuple[UUID, date, datetime]
"""Of which integration, which day, observed when."""


async def confirm(pipeline: Pipeline, completed: Sequence[SyncCompleted]) -> None:
    """The ledger stored windows: their days are covered, but for `unreconciled_days`; nothing is known of questioned ones.

    Replays and any order change nothing.
    """
    read, doubtful = list[_Day](), list[_Day]()
    for one in completed:
        unknown = set(one.unreconciled_days)
        days = _days_of(one) - set(one.questioned_days or ())
        read += [(one.integration_id, day, one.observed_at) for day in days - unknown]
        doubtful += [(one.integration_id, day, one.observed_at) for day in unknown]
    for statement, rows in ((_CONFIRM, read), (_DOUBT, doubtful)):
        if rows:
            ids, days_, observed = zip(*rows, strict=True)
            await pipeline.execute(statement, {"ids": [*ids], "days": [*days_], "observed": [*observed]})


def _days_of(completed: SyncCompleted) -> set[date]:
    count = (completed.last_day - completed.first_day).days + 1
    return {completed.first_day + timedelta(days=number) for number in range(count)}


async def missing(
    connection: AsyncConnection, at: datetime, integration_ids: Sequence[UUID]
) -> dict[UUID, list[tuple[date, int]]]:
    """Finished days of these integrations that should be read again, with their heals so far, by integration.

    Questioned days are read again by the rules of their questions.
    """
    rows = await connection.execute(_MISSING_DAYS, _rules(at, integration_ids))
    found: dict[UUID, list[tuple[date, int]]] = {}
    for row in rows:
        found.setdefault(row.integration_id, []).append((row.day, row.heals))
    return found


@dataclass(frozen=True, slots=True)
class UnreadDays:
    """Finished days that are expected, and not confirmed by a reading made after their end."""

    days: int
    integrations: int
    oldest: date | None


async def unread(connection: AsyncConnection, at: datetime) -> UnreadDays:
    """Of all integrations that are connected, and of the days for which figures are available."""
    row = (await connection.execute(_UNREAD, _until(at))).one()
    return UnreadDays(row.days, row.integrations, row.oldest)


@dataclass(frozen=True, slots=True)
class Look:
    """At some integrations, and at the days for which figures are available."""

    missing: Sequence[UUID]
    """Integrations that have days of `missing`."""
    late_since: datetime | None
    """End of the oldest day that is not covered, or when its team was connected, if that was later.

    Without days that xAI refuses or that are questioned: they wait for others.
    """
    unreconciled: int
    """Days."""


async def look(connection: AsyncConnection, at: datetime, integration_ids: Sequence[UUID]) -> Look:
    """How well these integrations are covered."""
    rows = (await connection.execute(_LOOK, _rules(at, integration_ids))).all()
    late = [row.late_since for row in rows if row.late_since]
    missing = [row.integration_id for row in rows if row.is_missing]
    return Look(missing, min(late, default=None), sum(row.unreconciled for row in rows))


def _rules(at: datetime, integration_ids: Sequence[UUID]) -> dict[str, object]:
    rules = {"read_by": READ_BY, "settled_after": SETTLED_AFTER, "trusted_from": at - TRUSTED_FOR}
    return _until(at) | rules | {"now": at, "ids": list(integration_ids)}


async def note_heal(connection: AsyncConnection, integration_id: UUID, heal: Heal, at: datetime) -> None:
    """These days are being healed; they are not missing again before the attempt's pause is over."""
    attempt = {"id": integration_id, "attempt": heal.attempt, "after": at + heal_pause(heal.attempt)}
    await connection.execute(_NOTE_HEAL, attempt | {"first": heal.days.first, "last": heal.days.last})


def _until(at: datetime) -> dict[str, object]:
    return {"today": at.date(), "readable_from": readable_from(at.date())}


async def erase(pipeline: Pipeline, integration_id: UUID) -> None:
    """Delete the history of an integration: its raw answers and its coverage."""
    await pipeline.execute("DELETE FROM raw_answers WHERE integration_id = %(id)s", {"id": integration_id})
    await pipeline.execute("DELETE FROM coverage WHERE integration_id = %(id)s", {"id": integration_id})
