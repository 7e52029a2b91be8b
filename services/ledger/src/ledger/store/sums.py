"""Sums of an account's days and of what they are made of, added up by Postgres."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from contract.rules import SETTLED_AFTER
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.figures import DayFigure
from ledger.periods import Span
from ledger.store.days import ENDS_AT

_ONE_VIEW = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

_WHICH = """d.account_id = :account_id AND (d.day BETWEEN :first AND :last OR d.day BETWEEN :first_before AND :last_before)
    AND (CAST(:only AS uuid) IS NULL OR d.integration_id = :only) AND d.integration_id <> ALL(CAST(:left_out AS uuid[]))"""


def _statement(template: str) -> TextClause:
    return text(template.format(which=_WHICH, ends_at=ENDS_AT))


_DAYS = _statement("""
    SELECT d.day, sum(d.usd) AS usd, count(e.integration_id) AS read,
        bool_or(d.observed_at < {ends_at} + :settled_after) AS provisional
    FROM days d LEFT JOIN unnest(CAST(:ids AS uuid[]), CAST(:firsts AS date[]), CAST(:lasts AS date[]))
        AS e(integration_id, first, last) ON e.integration_id = d.integration_id AND d.day BETWEEN e.first AND e.last
        AND (d.day = :today OR d.observed_at >= {ends_at})
    WHERE {which}
    GROUP BY d.day
""")

_NEWEST = _statement("""
    SELECT min(newest) FROM (
        SELECT max(d.observed_at) AS newest FROM days d WHERE {which} AND d.day BETWEEN :first AND :last
            AND d.integration_id = ANY(CAST(:ids AS uuid[]))
        GROUP BY d.integration_id
    ) AS of_integrations
""")

_LABELS = """SELECT d.day, c.label ->> '{by}' AS key, {model} AS model, c.usd
    FROM days d JOIN label_lists USING (labels_id)
    CROSS JOIN LATERAL ROWS FROM (jsonb_array_elements(labels), unnest(amounts)) AS c(label, usd)"""
_INTEGRATIONS = "SELECT d.day, CAST(d.integration_id AS text) AS key, NULL AS model, d.usd FROM days d"


_ROWS = """
    SELECT key, min(model) AS model, sum(usd) FILTER (WHERE day BETWEEN :first AND :last) AS usd,
        count(*) FILTER (WHERE day BETWEEN :first AND :last AND has_cost) AS days,
        coalesce(sum(usd) FILTER (WHERE day BETWEEN :first AND :last_finished), 0) AS finished,
        coalesce(sum(usd) FILTER (WHERE day BETWEEN :first_before AND :last_before), 0) AS before,
        CASE WHEN :daily THEN array_agg(day) FILTER (WHERE day BETWEEN :first AND :last) END AS days_of_usd,
        CASE WHEN :daily THEN array_agg(usd) FILTER (WHERE day BETWEEN :first AND :last) END AS usd_of_days
    FROM (SELECT key, day, min(model) AS model, sum(usd) AS usd, bool_or(usd <> 0) AS has_cost
          FROM ({amounts} WHERE {which}) AS amounts GROUP BY key, day) AS of_days
    GROUP BY key HAVING bool_or(has_cost AND day BETWEEN :first AND :last)
    ORDER BY usd DESC, key NULLS LAST
"""
_AMOUNTS = {
    "label": _LABELS.format(by="label", model="c.label ->> 'model'"),
    "model": _LABELS.format(by="model", model="NULL"),
    "product": _LABELS.format(by="product", model="NULL"),
    "integration": _INTEGRATIONS,
}
_BREAKDOWN = {by: _statement(_ROWS.replace("{amounts}", amounts)) for by, amounts in _AMOUNTS.items()}


@dataclass(frozen=True, slots=True)
class Question:
    """Which days of which integrations a report is about."""

    account_id: str
    span: Span
    finished: Span | None
    """The days of `span` that are over."""
    before: Span
    """What it is compared with."""
    expected: Mapping[UUID, tuple[date, date]]
    """First and last day that each shown integration is expected to cover."""
    only: UUID | None
    """None: all of the account but `left_out`."""
    left_out: Collection[UUID]
    """Second integrations of a team."""
    at: datetime
    etag: str
    """Changes whenever an answer to the question does."""

    @property
    def today(self) -> date:
        return self.at.date()


@dataclass(frozen=True, slots=True)
class Row:
    """What one model, label, product or integration cost."""

    key: str | None
    """None: the product of labels that name none."""
    model: str | None
    """Of a label."""
    usd: Decimal
    days: int
    """Days of the period on which it cost something."""
    finished: Decimal
    """Of its finished days."""
    before: Decimal
    daily: Mapping[date, Decimal]
    """Of the days of the period on which it is named; empty where it was not requested."""


async def one_view(connection: AsyncConnection) -> None:
    """All statements of the transaction, which must be new, see the same moment."""
    await connection.execute(_ONE_VIEW)


async def day_figures(connection: AsyncConnection, question: Question) -> dict[date, DayFigure]:
    """Each day of the period, and of the span before it."""
    rows = {row.day: row for row in await connection.execute(_DAYS, _expected(question) | _parameters(question))}
    spans = question.expected.values()
    figures = {}
    for day in {*question.span, *question.before}:
        expected = sum(first <= day <= last for first, last in spans)
        row = rows.get(day)
        figures[day] = (
            DayFigure(day, row.usd, expected, row.read, row.provisional) if row else DayFigure(day, None, expected, 0)
        )
    return figures


async def as_of(connection: AsyncConnection, question: Question) -> datetime | None:
    """The oldest of the integrations' newest readings of the period: what is shown is at least as new. None: nothing."""
    ids = {"ids": list(question.expected)}
    newest: datetime | None = (await connection.execute(_NEWEST, ids | _parameters(question))).scalar_one()
    return newest


async def breakdown(connection: AsyncConnection, question: Question, by: str, *, daily: bool = False) -> list[Row]:
    """What the period's costs are made of, dearest first; with `daily` also day by day."""
    finished = question.finished.last if question.finished else question.span.first.min
    rows = await connection.execute(_BREAKDOWN[by], _parameters(question) | {"last_finished": finished, "daily": daily})
    return [
        Row(key, model, usd, days, until, before, dict(zip(days_of_usd or (), usd_of_days or (), strict=True)))
        for key, model, usd, days, until, before, days_of_usd, usd_of_days in rows
    ]


def _parameters(question: Question) -> dict[str, object]:
    span, before = question.span, question.before
    return {
        "account_id": question.account_id,
        "first": span.first,
        "last": span.last,
        "first_before": before.first,
        "last_before": before.last,
        "only": question.only,
        "left_out": list(question.left_out),
    }


def _expected(question: Question) -> dict[str, object]:
    spans = question.expected
    return {
        "ids": list(spans),
        "firsts": [first for first, _ in spans.values()],
        "lasts": [last for _, last in spans.values()],
        "today": question.today,
        "settled_after": SETTLED_AFTER,
    }
