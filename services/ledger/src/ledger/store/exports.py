"""The rows of an export, one UTC day at a time, written by Postgres: what is in memory is one day, whatever the account."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, LiteralString
from uuid import UUID

from common.direct_connections import driver_of
from contract.rules import SETTLED_AFTER
from psycopg.sql import SQL, Composable, Composed, Identifier
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.days import ENDS_AT
from ledger.store.sums import Question

Columns = dict[str, LiteralString]
"""SQL expressions by the names of their columns; `d` is the day, `i` its integration, `c` one of its costs."""

PROVISIONAL: LiteralString = f"d.observed_at < {ENDS_AT} + %(settled_after)s"
OBSERVED_AT: LiteralString = "to_char(d.observed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

_DAYS: LiteralString = """
    days d
    JOIN label_lists USING (labels_id)
    LEFT JOIN integrations i ON i.integration_id = d.integration_id
    LEFT JOIN outcomes o ON o.integration_id = d.integration_id AND o.reading_id = d.reading_id
        AND o.account_id = d.account_id
    CROSS JOIN LATERAL (SELECT count(*) AS number FROM day_revisions r WHERE r.integration_id = d.integration_id
        AND r.day = d.day AND r.account_id = d.account_id) revisions
    WHERE d.account_id = %(account_id)s AND d.day = %(day)s
        AND (%(only)s::uuid IS NULL OR d.integration_id = %(only)s) AND d.integration_id <> ALL(%(left_out)s::uuid[])
"""
_COSTS: LiteralString = """
    (SELECT label ->> 'label' AS label, label ->> 'product' AS product, label ->> 'model' AS model,
        CAST(usd AS text) AS usd, number
    FROM ROWS FROM (jsonb_array_elements(of_day.labels), unnest(of_day.amounts)) WITH ORDINALITY
        AS element(label, usd, number) OFFSET 0) AS c
"""

# OFFSET 0: what is of the whole day is computed once, and not again for each of its labels.
_CSV = SQL(f"""
    SELECT convert_to(lines.text, 'UTF8')
    FROM (SELECT d.integration_id, labels, d.amounts, {{of_day}} FROM {_DAYS} OFFSET 0) AS of_day
    CROSS JOIN LATERAL (SELECT string_agg({{line}}, '' ORDER BY c.number) AS text FROM {_COSTS}) AS lines
    WHERE lines.text IS NOT NULL ORDER BY of_day.integration_id
""")  # noqa: S608 - only constants are put in
_JSON = SQL(f"""
    SELECT coalesce(array_agg(lines.text ORDER BY of_day.integration_id, lines.number), ARRAY[]::text[]),
        coalesce(sum(lines.usd::numeric), 0)
    FROM (SELECT d.integration_id, labels, d.amounts, {{of_day}} FROM {_DAYS} OFFSET 0) AS of_day
    CROSS JOIN LATERAL (SELECT json_build_object({{members}})::text AS text, c.usd, c.number FROM {_COSTS}) AS lines
""")  # noqa: S608 - as above
_FOREIGN_TEXTS = ("i.label", "i.team_id", "c.label", "c.product", "c.model")
"""Only these can hold what CSV has to quote."""

_READ = text("""
    SELECT integration_id, observed_at FROM days WHERE account_id = :account_id AND day = :day
""")


async def csv_rows(connection: AsyncConnection, columns: Columns, question: Question, day: date) -> bytes:
    """The day's rows as CSV without a heading; a null is nothing at all, an empty text is `""`.

    Postgres writes the rows of a day of an integration as one text: row by row, receiving them took longer than the rest.
    """
    driver = await driver_of(connection)
    async with driver.cursor(binary=True) as cursor:
        await cursor.execute(_csv(columns), _parameters(question, day))
        return b"".join([rows for (rows,) in await cursor.fetchall()])


async def json_rows(
    connection: AsyncConnection, columns: Columns, question: Question, day: date
) -> tuple[Sequence[str], Decimal]:
    """The day's rows as JSON objects, and their sum."""
    members = SQL(", ").join(
        SQL("{}, {}").format(name, SQL(expression) if _is_of_label(expression) else Identifier("of_day", name))
        for name, expression in columns.items()
    )
    of_day = SQL(", ").join(
        SQL("{} AS {}").format(SQL(expression), Identifier(name))
        for name, expression in columns.items()
        if not _is_of_label(expression) and name != "integration_id"
    )
    driver = await driver_of(connection)
    async with driver.cursor() as cursor:
        await cursor.execute(_JSON.format(of_day=of_day, members=members), _parameters(question, day))
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return row[0], row[1]


async def read_at(connection: AsyncConnection, account_id: str, day: date) -> dict[UUID, datetime]:
    """When each integration of the account read the day."""
    rows = await connection.execute(_READ, {"account_id": account_id, "day": day})
    return {row.integration_id: row.observed_at for row in rows}


def _csv(columns: Columns) -> Composed:
    """Neighbours that are of the whole day are one part, written once; the others are written for each label."""
    of_day: list[Composable] = []
    line: list[Composable] = []
    for is_of_label, group in groupby(columns.values(), key=_is_of_label):
        cells = SQL(" || ',' || ").join(map(_cell, group))
        name = Identifier(f"part_{len(of_day)}")
        if not is_of_label:
            of_day.append(SQL("{} AS {}").format(cells, name))
        line.append(cells if is_of_label else SQL("{}.{}").format(Identifier("of_day"), name))
    whole = SQL(" || ',' || ").join(line) + SQL(" || E'\\n'")
    return _CSV.format(of_day=SQL(", ").join(of_day), line=whole)


def _is_of_label(expression: LiteralString) -> bool:
    return re.search(r"\bc\.", expression) is not None


def _cell(expression: LiteralString) -> Composed:
    text = SQL("({})::text").format(SQL(expression))
    if any(name in expression for name in _FOREIGN_TEXTS):
        quoted = """CASE WHEN {0} ~ '[",\r\n]' OR {0} = '' THEN '"' || replace({0}, '"', '""') || '"' ELSE {0} END"""
        text = SQL(quoted).format(text)
    return SQL("coalesce({}, '')").format(text)


def _parameters(question: Question, day: date) -> dict[str, Any]:
    return {
        "account_id": question.account_id,
        "day": day,
        "only": question.only,
        "left_out": list(question.left_out),
        "settled_after": SETTLED_AFTER,
    }
