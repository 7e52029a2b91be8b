"""Compare the live tables with the rebuilt ones, row by row. Callers own the transaction."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.operations.rebuild_tables import SAME_COSTS, SCHEMA

TABLES = ("days", "day_revisions", "outcomes", "integrations", "erased")
SAMPLES = 100

_COSTS_DIFFER = f"""((l.labels_id, l.amounts) IS DISTINCT FROM (r.labels_id, r.amounts)
    AND NOT coalesce({SAME_COSTS}, false))"""
"""The same amounts of other lists of labels, such as one with a field that was added since, are no difference."""


def _differs(column: str) -> str:
    return _COSTS_DIFFER if column == "costs" else f"l.{column} IS DISTINCT FROM r.{column}"


def _any_of(*columns: str) -> str:
    return " OR ".join(map(_differs, columns))


def _names_of(*columns: str) -> str:
    """An expression for the names of those that differ; NULL where a row has no counterpart."""
    names = ", ".join(f"CASE WHEN {_differs(column)} THEN '{column}' END" for column in columns)
    return f"CASE WHEN num_nulls(l.integration_id, r.integration_id) = 0 THEN concat_ws(', ', {names}) END"


_OF_DAYS = ("usd", "costs", "reading_id", "observed_at")
_OF_REVISIONS = ("usd", "costs", "reading_id", "said_until", "replaced_by")
_OF_OUTCOMES = ("reconciled", "unreconciled_days", "first_day", "last_day", "observed_at")

_DIFFERENCES = f"""
    WITH known AS (SELECT integration_id FROM ledger.erased UNION SELECT integration_id FROM erased),
    all_differences AS (
        SELECT 'days' AS of_table, CASE WHEN r.day IS NULL THEN 'only live' WHEN l.day IS NULL THEN 'only rebuilt'
                WHEN l.observed_at > r.observed_at THEN 'live newer' WHEN l.observed_at < r.observed_at THEN 'rebuilt newer'
                ELSE 'different' END AS kind,
            integration_id, account_id, day::text AS place, {_names_of(*_OF_DAYS)} AS columns,
            l.usd || ' USD, read ' || l.observed_at AS live, r.usd || ' USD, read ' || r.observed_at AS rebuilt
        FROM ledger.days l FULL JOIN days r USING (integration_id, day, account_id)
        WHERE {_any_of(*_OF_DAYS)}
      UNION ALL
        SELECT 'day_revisions', CASE WHEN r.day IS NULL THEN 'only live' WHEN l.day IS NULL THEN 'only rebuilt'
                ELSE 'different' END,
            integration_id, account_id, concat(day, ' since ', said_since), {_names_of(*_OF_REVISIONS)},
            l.usd || ' USD until ' || l.said_until, r.usd || ' USD until ' || r.said_until
        FROM ledger.day_revisions l FULL JOIN day_revisions r USING (integration_id, day, account_id, said_since)
        WHERE {_any_of(*_OF_REVISIONS)}
      UNION ALL
        SELECT 'outcomes', CASE WHEN r.event_id IS NULL THEN 'only live' WHEN l.event_id IS NULL THEN 'only rebuilt'
                ELSE 'different' END,
            integration_id, account_id, concat('reading ', reading_id), {_names_of(*_OF_OUTCOMES)},
            CASE WHEN l.reconciled THEN 'reconciled' ELSE 'lacks ' || array_to_string(l.unreconciled_days, ' ') END,
            CASE WHEN r.reconciled THEN 'reconciled' ELSE 'lacks ' || array_to_string(r.unreconciled_days, ' ') END
        FROM ledger.outcomes l FULL JOIN outcomes r USING (integration_id, reading_id, account_id)
        WHERE {_any_of(*_OF_OUTCOMES)}
    )
    SELECT * FROM all_differences WHERE integration_id NOT IN (SELECT integration_id FROM known)
  UNION ALL
    SELECT 'integrations', CASE WHEN r.version IS NULL THEN 'only live' WHEN l.version IS NULL THEN 'only rebuilt'
            WHEN l.version > r.version THEN 'live newer' WHEN l.version < r.version THEN 'rebuilt newer' ELSE 'different' END,
        integration_id, coalesce(l.account_id, r.account_id), '',
        (SELECT string_agg(key, ', ') FROM jsonb_each(to_jsonb(l)) a JOIN jsonb_each(to_jsonb(r)) b USING (key)
            WHERE a.value <> b.value),
        l.status || ', version ' || l.version, r.status || ', version ' || r.version
    FROM ledger.integrations l FULL JOIN integrations r USING (integration_id)
    WHERE to_jsonb(l) IS DISTINCT FROM to_jsonb(r)
  UNION ALL
    SELECT 'erased', CASE WHEN r.erased_at IS NULL THEN 'only live' ELSE 'only rebuilt' END,
        integration_id, '', '', NULL, l.erased_at::text, r.erased_at::text
    FROM ledger.erased l FULL JOIN erased r USING (integration_id)
    WHERE l.erased_at IS NULL OR r.erased_at IS NULL
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that differs between the live and the rebuilt tables."""

    of_table: str
    kind: str
    integration_id: str
    account_id: str
    place: str
    columns: str | None
    """Names of those that differ; None where only one of the tables has the row."""
    live: str | None
    rebuilt: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows of a table differ in the same way."""

    of_table: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the live and the rebuilt tables differ."""

    counts: list[Count]
    samples: list[Difference]
    """The first of the differences; there may be millions."""
    sizes: dict[str, dict[str, int]]
    """Rows of each table, `live` and `rebuilt`."""


async def find(connection: AsyncConnection) -> int:
    """Keep every difference for the rest of the transaction; returns how many there are."""
    await connection.execute(text(f"CREATE TEMPORARY TABLE found ON COMMIT DROP AS {_DIFFERENCES}"))
    return int((await connection.execute(text("SELECT count(*) FROM found"))).scalar_one())


async def find_again(connection: AsyncConnection) -> None:
    """Of the differences found, keep those that are still there, unchanged: the others were in transit."""
    await connection.execute(text(f"CREATE TEMPORARY TABLE still ON COMMIT DROP AS {_DIFFERENCES}"))
    await connection.execute(
        text("CREATE TEMPORARY TABLE lasting ON COMMIT DROP AS SELECT * FROM found INTERSECT ALL SELECT * FROM still")
    )
    await connection.execute(text("DROP TABLE found"))
    await connection.execute(text("ALTER TABLE lasting RENAME TO found"))


async def comparison(connection: AsyncConnection) -> Comparison:
    """What was found."""
    return Comparison(await counts(connection), await _samples(connection), await _sizes(connection))


async def counts(connection: AsyncConnection) -> list[Count]:
    """How many differences there are of each kind."""
    rows = await connection.execute(
        text("SELECT of_table, kind, count(*) AS count FROM found GROUP BY of_table, kind ORDER BY of_table, kind")
    )
    return [Count(**row) for row in rows.mappings()]


async def _samples(connection: AsyncConnection) -> list[Difference]:
    rows = await connection.execute(
        text("""SELECT of_table, kind, integration_id::text, account_id, place, columns, live, rebuilt
                FROM found ORDER BY of_table, integration_id, place LIMIT :limit"""),
        {"limit": SAMPLES},
    )
    return [Difference(**row) for row in rows.mappings()]


async def _sizes(connection: AsyncConnection) -> dict[str, dict[str, int]]:
    return {
        table: {
            "live": await _count(connection, f"ledger.{table}"),
            "rebuilt": await _count(connection, f"{SCHEMA}.{table}"),
        }
        for table in TABLES
    }


async def _count(connection: AsyncConnection, table: str) -> int:
    return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())  # noqa: S608 - constants
