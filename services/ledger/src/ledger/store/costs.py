"""The read side: an account's costs by day, now or as known at an earlier instant, as JSON text made by Postgres."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

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
class Stored:
    """What there is, without the costs themselves."""

    integrations: frozenset[UUID]
    version: str
    """The same for the same days from the same readings only."""


@dataclass(frozen=True, slots=True)
class IntegrationDay:
    """The costs of one UTC day of an integration."""

    integration_id: UUID
    day: date
    usd: Decimal
    observed_at: datetime
    restated: bool
    """What was reported of the day after it was over has been replaced since."""
    models: str
    """JSON objects that begin with their label, joined by commas; empty where there are no costs."""


_OF_ACCOUNT = """account_id = :account_id AND day BETWEEN :first AND :last
    AND integration_id = coalesce(CAST(:integration_id AS uuid), integration_id)
    AND integration_id <> ALL (CAST(:left_out AS uuid[]))"""

_NOW = f"""
    SELECT integration_id, day, usd, costs, reading_id, observed_at FROM days WHERE {_OF_ACCOUNT}
"""  # noqa: S608 - only constants are put in

# A row has the first and the last of the equal readings; the ones between them are in the outcomes.
_AS_OF = f"""
    WITH valid AS (
        SELECT integration_id, day, usd, costs, reading_id, said_since, observed_at FROM days
        WHERE {_OF_ACCOUNT} AND said_since <= :as_of
        UNION ALL
        SELECT integration_id, day, usd, costs, reading_id, said_since, said_since FROM day_revisions
        WHERE {_OF_ACCOUNT} AND said_since <= :as_of AND said_until > :as_of
    ), read AS (
        SELECT integration_id, first_day + number AS day, max(observed_at) AS observed_at
        FROM outcomes, generate_series(0, last_day - first_day) AS number
        WHERE account_id = :account_id AND observed_at <= :as_of AND first_day <= :last AND last_day >= :first
            AND first_day + number <> ALL (unreconciled_days)
        GROUP BY 1, 2
    )
    SELECT integration_id, day, usd, costs, reading_id, greatest(
        CASE WHEN valid.observed_at <= :as_of THEN valid.observed_at ELSE said_since END, read.observed_at)
        AS observed_at
    FROM valid LEFT JOIN read USING (integration_id, day)
"""  # noqa: S608 - as above

# `row_to_json` looks up each column's type for every row: it takes half as long again. An amount is written plainly
# whatever form it was stored in.
_MODELS = {
    CostsBy.LABEL: """
        SELECT string_agg('{"label":' || CAST(c -> 'label' AS text)
            || ',"product":' || coalesce(CAST(c -> 'product' AS text), 'null') || ',"model":' || CAST(c -> 'model' AS text)
            || ',"usd":"' || trim_scale(CAST(c ->> 'usd' AS numeric)) || '"}', ',')
        FROM jsonb_array_elements(costs) AS c""",
    CostsBy.MODEL: """
        SELECT string_agg('{"label":' || model || ',"product":' || 'null' || ',"model":' || model
            || ',"usd":"' || trim_scale(usd) || '"}', ',' ORDER BY model COLLATE "C")
        FROM (SELECT CAST(c -> 'model' AS text) AS model, sum(CAST(c ->> 'usd' AS numeric)) AS usd
            FROM jsonb_array_elements(costs) AS c GROUP BY 1) AS models""",
    CostsBy.DAY: "SELECT NULL",
}


def _versions(source: str) -> TextClause:
    return text(f"""
        SELECT array_agg(DISTINCT integration_id) AS integrations, md5(string_agg(
            concat_ws(' ', integration_id, day, reading_id, observed_at), ',' ORDER BY day, integration_id)) AS version
        FROM ({source}) AS stored
    """)  # noqa: S608 - as above


def _days(source: str, restated: str, models: str) -> TextClause:
    return text(f"""
        SELECT integration_id, day, usd, observed_at, {restated} AS restated, coalesce(({models}), '') AS models
        FROM ({source}) AS d ORDER BY day, integration_id
    """)  # noqa: S608 - as above


_VERSIONS = {True: _versions(_AS_OF), False: _versions(_NOW)}
_DAYS = {(True, by): _days(_AS_OF, RESTATED_AS_OF, _MODELS[by]) for by in CostsBy} | {
    (False, by): _days(_NOW, RESTATED, _MODELS[by]) for by in CostsBy
}
"""By whether it is about an earlier instant."""


async def stored(connection: AsyncConnection, selection: Selection) -> Stored:
    """What is stored of the selection; a day is read whole, so its readings are its version."""
    row = (await connection.execute(_VERSIONS[selection.as_of is not None], _parameters(selection))).one()
    return Stored(frozenset(row.integrations or ()), row.version or "")


async def integration_days(connection: AsyncConnection, selection: Selection) -> list[IntegrationDay]:
    """The stored days of the selection, by day and integration."""
    rows = await connection.execute(_DAYS[selection.as_of is not None, selection.by], _parameters(selection))
    return [IntegrationDay(*row) for row in rows]


def _parameters(selection: Selection) -> dict[str, object]:
    parameters: dict[str, object] = {
        "account_id": selection.account_id,
        "first": selection.first,
        "last": selection.last,
        "integration_id": selection.integration_id,
        "left_out": list(selection.left_out),
    }
    return parameters | ({"as_of": selection.as_of} if selection.as_of else {})
