"""The read side: an account's costs by day, now or as known at an earlier instant."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, LiteralString
from uuid import UUID

from common.database import Cursor, Pipeline

from ledger.cost_texts import WriteCosts, by_label, by_model
from ledger.store.days import RESTATED, RESTATED_AS_OF


class CostsBy(StrEnum):
    """What one row of a day's costs is about."""

    LABEL = "label"
    MODEL = "model"
    DAY = "day"
    """No rows: the day alone."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which costs of an account are read, and in which form."""

    account_id: str
    first: date
    last: date
    """Included, like `first`."""
    integration_id: UUID | None = None
    """None: all but `left_out`."""
    left_out: Collection[UUID] = ()
    as_of: datetime | None = None
    """The instant at which they were known; None: now."""
    by: CostsBy = CostsBy.LABEL


@dataclass(frozen=True, slots=True)
class IntegrationDay:
    """The costs of one UTC day of an integration."""

    integration_id: UUID
    day: date
    usd: Decimal
    observed_at: datetime
    restated: bool
    """What was reported of the day after it was over has been replaced since."""
    costs: str
    """Members of a JSON array, one for each label or model."""


_OF_ACCOUNT: LiteralString = """account_id = %(account_id)s AND day BETWEEN %(first)s AND %(last)s
    AND integration_id = coalesce(CAST(%(integration_id)s AS uuid), integration_id)
    AND integration_id <> ALL (CAST(%(left_out)s AS uuid[]))"""

_NOW: LiteralString = f"""
    SELECT integration_id, account_id, day, usd, labels_id, amounts, reading_id, observed_at FROM days WHERE {_OF_ACCOUNT}
"""  # noqa: S608 - only constants are put in

# A row has the first and the last of the equal readings; the ones between them are in the outcomes.
_AS_OF: LiteralString = f"""
    WITH valid AS (
        SELECT integration_id, account_id, day, usd, labels_id, amounts, reading_id, said_since, observed_at FROM days
        WHERE {_OF_ACCOUNT} AND said_since <= %(as_of)s
        UNION ALL
        SELECT integration_id, account_id, day, usd, labels_id, amounts, reading_id, said_since, said_since FROM day_revisions
        WHERE {_OF_ACCOUNT} AND said_since <= %(as_of)s AND said_until > %(as_of)s
    ), read AS (
        SELECT integration_id, first_day + number AS day, max(observed_at) AS observed_at
        FROM outcomes, generate_series(0, last_day - first_day) AS number
        WHERE account_id = %(account_id)s AND observed_at <= %(as_of)s AND first_day <= %(last)s AND last_day >= %(first)s
            AND first_day + number <> ALL (unreconciled_days)
        GROUP BY 1, 2
    )
    SELECT integration_id, account_id, day, usd, labels_id, amounts, reading_id, greatest(
        CASE WHEN valid.observed_at <= %(as_of)s THEN valid.observed_at ELSE said_since END, read.observed_at)
        AS observed_at
    FROM valid LEFT JOIN read USING (integration_id, day)
"""  # noqa: S608 - as above

_NO_COSTS: LiteralString = "CAST('{}' AS text[]) AS labels, '{}' AS amounts"
# Of a list of labels the first row that has it brings the texts.
_COSTS: LiteralString = """CASE WHEN row_number() OVER (PARTITION BY labels_id ORDER BY day, integration_id) = 1 THEN (
        SELECT (SELECT coalesce(array_agg(CAST(label AS text) ORDER BY number), '{}')
            FROM jsonb_array_elements(labels) WITH ORDINALITY AS one(label, number))
        FROM label_lists l WHERE l.labels_id = d.labels_id
    ) END AS labels, CAST(amounts AS text) AS amounts"""


def _versions(source: LiteralString) -> LiteralString:
    return f"""
        SELECT integration_id,
            md5(string_agg(concat_ws(' ', day, reading_id, observed_at), ',' ORDER BY day)) AS version
        FROM ({source}) AS stored GROUP BY integration_id ORDER BY integration_id
    """  # noqa: S608 - as above


def _days(source: LiteralString, restated: LiteralString, costs: LiteralString) -> LiteralString:
    return f"""
        SELECT integration_id, day, usd, observed_at, {restated} AS restated, labels_id, {costs}
        FROM ({source}) AS d ORDER BY day, integration_id
    """  # noqa: S608 - as above


_VERSIONS: dict[bool, LiteralString] = {True: _versions(_AS_OF), False: _versions(_NOW)}
_DAYS: dict[tuple[bool, bool], LiteralString] = {
    (is_earlier, has_costs): _days(source, restated, _COSTS if has_costs else _NO_COSTS)
    for is_earlier, source, restated in ((True, _AS_OF, RESTATED_AS_OF), (False, _NOW, RESTATED))
    for has_costs in (True, False)
}
"""By whether it is about an earlier instant, and whether the days are with their costs."""


async def versions(pipeline: Pipeline, selection: Selection) -> Cursor:
    """Each integration that has days in the selection, and what is the same for the same days of the same readings only."""
    return await pipeline.execute(_VERSIONS[selection.as_of is not None], _parameters(selection))


async def integration_days(pipeline: Pipeline, selection: Selection) -> list[IntegrationDay]:
    """The stored days of the selection, by day and integration."""
    statement = _DAYS[selection.as_of is not None, selection.by is not CostsBy.DAY]
    rows = await pipeline.execute(statement, _parameters(selection))
    return list(_integration_days(selection.by, await rows.fetchall()))


def _integration_days(by: CostsBy, rows: Iterable[dict[str, Any]]) -> Iterator[IntegrationDay]:
    """A list of labels is in the first row that has it."""
    form = by_model if by is CostsBy.MODEL else by_label
    lists: dict[UUID, Sequence[str]] = {}
    forms: dict[tuple[UUID, UUID], WriteCosts] = {}
    for row in rows:
        integration_id, labels_id, labels = row["integration_id"], row.pop("labels_id"), row.pop("labels")
        if labels is not None:
            lists[labels_id] = labels
        write = forms.get((integration_id, labels_id))
        if write is None:
            write = forms[integration_id, labels_id] = form(integration_id, lists[labels_id])
        amounts = row.pop("amounts")[1:-1]
        yield IntegrationDay(**row, costs=write(amounts.split(",") if amounts else ()))


def _parameters(selection: Selection) -> dict[str, object]:
    return {
        "account_id": selection.account_id,
        "first": selection.first,
        "last": selection.last,
        "integration_id": selection.integration_id,
        "left_out": list(selection.left_out),
        "as_of": selection.as_of,
    }
