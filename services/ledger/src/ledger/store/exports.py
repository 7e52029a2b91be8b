"""The rows of an export, one UTC day at a time, written by Postgres: what is in memory is one day, whatever the account."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

from common.database import driver_of
from contract.rules import SETTLED_AFTER
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.days import ENDS_AT
from ledger.store.sums import Question

Columns = dict[str, LiteralString]
"""SQL expressions by the names of their columns; `d` is the day, `i` its integration, `c` one of its costs."""

PROVISIONAL: LiteralString = f"d.observed_at < {ENDS_AT} + %(settled_after)s"
OBSERVED_AT: LiteralString = "to_char(d.observed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

_ROWS: LiteralString = """
    FROM days d
    LEFT JOIN integrations i ON i.integration_id = d.integration_id
    LEFT JOIN outcomes o ON o.integration_id = d.integration_id AND o.reading_id = d.reading_id
        AND o.account_id = d.account_id
    CROSS JOIN LATERAL (SELECT count(*) AS number FROM day_revisions r WHERE r.integration_id = d.integration_id
        AND r.day = d.day AND r.account_id = d.account_id) revisions
    CROSS JOIN LATERAL jsonb_array_elements(d.costs) WITH ORDINALITY AS element(cost, number)
    CROSS JOIN LATERAL (SELECT cost ->> 'label' AS label, cost ->> 'product' AS product, cost ->> 'model' AS model,
        trim_scale((cost ->> 'usd')::numeric)::text AS usd) c
    WHERE d.account_id = %(account_id)s AND d.day = %(day)s
        AND (%(only)s::uuid IS NULL OR d.integration_id = %(only)s) AND d.integration_id <> ALL(%(left_out)s::uuid[])
"""
_ORDER: LiteralString = "d.integration_id, element.number"

_READ = text("""
    SELECT integration_id, observed_at FROM days WHERE account_id = :account_id AND day = :day
""")


async def csv_rows(connection: AsyncConnection, columns: Columns, question: Question, day: date) -> bytes:
    """The day's rows as CSV without a heading; a null is nothing at all, an empty text is `""`."""
    statement = SQL("COPY (SELECT {columns} {rows} ORDER BY {order}) TO STDOUT WITH (FORMAT csv)").format(
        columns=_selected(columns), rows=SQL(_ROWS), order=SQL(_ORDER)
    )
    driver = await driver_of(connection)
    async with driver.cursor() as cursor, cursor.copy(statement, _parameters(question, day)) as copy:
        return b"".join([bytes(block) async for block in copy])


async def json_rows(
    connection: AsyncConnection, columns: Columns, question: Question, day: date
) -> tuple[Sequence[str], Decimal]:
    """The day's rows as JSON objects, and their sum."""
    members = SQL(", ").join(SQL("{}, {}").format(name, SQL(expression)) for name, expression in columns.items())
    statement = SQL(
        "SELECT coalesce(array_agg(json_build_object({members})::text ORDER BY {order}), ARRAY[]::text[]), "
        "coalesce(sum(c.usd::numeric), 0) {rows}"
    ).format(members=members, order=SQL(_ORDER), rows=SQL(_ROWS))
    driver = await driver_of(connection)
    async with driver.cursor() as cursor:
        await cursor.execute(statement, _parameters(question, day))
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return row[0], row[1]


async def read_at(connection: AsyncConnection, account_id: str, day: date) -> dict[UUID, datetime]:
    """When each integration of the account read the day."""
    rows = await connection.execute(_READ, {"account_id": account_id, "day": day})
    return {row.integration_id: row.observed_at for row in rows}


def _selected(columns: Columns) -> Composed:
    return SQL(", ").join(
        SQL("{} AS {}").format(SQL(expression), Identifier(name)) for name, expression in columns.items()
    )


def _parameters(question: Question, day: date) -> dict[str, Any]:
    return {
        "account_id": question.account_id,
        "day": day,
        "only": question.only,
        "left_out": list(question.left_out),
        "settled_after": SETTLED_AFTER,
    }
