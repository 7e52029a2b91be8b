"""Many rows made of one that a service has written: whatever columns its tables get, the copies have them."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

COLUMNS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = %s AND table_name = %s AND is_generated = 'NEVER' AND is_identity = 'NO'
"""
COPY = (
    "INSERT INTO {table} ({columns}) SELECT {values} FROM {table} old, copies new WHERE {origin} ON CONFLICT DO NOTHING"
)
"""A trigger of another table may have inserted a row already."""


async def copy_rows(
    dsn: str, schema: str, tables: Sequence[str], original: Mapping[str, object], copies: Sequence[Mapping[str, object]]
) -> dict[str, int]:
    """Insert the rows of `original` again, with the values of each of `copies`; returns their count by table.

    Then VACUUM ANALYZE, as Postgres does by itself after a while.
    """
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))  # for triggers
        definitions = [
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL("text" if isinstance(value, str) else "uuid"))
            for name, value in original.items()
        ]
        await connection.execute(sql.SQL("CREATE TEMPORARY TABLE copies ({})").format(sql.SQL(", ").join(definitions)))
        async with connection.cursor().copy("COPY copies FROM STDIN") as copy:
            for one in copies:
                await copy.write_row([one[name] for name in original])
        counts = {}
        for table in tables:
            names = [name for (name,) in await (await connection.execute(COLUMNS, [schema, table])).fetchall()]
            counts[table] = (await connection.execute(_statement(schema, table, names, original))).rowcount
        await connection.execute("VACUUM ANALYZE")
    return counts


def _statement(schema: str, table: str, names: Sequence[str], original: Mapping[str, Any]) -> sql.Composed:
    values = [sql.Identifier("new" if name in original else "old", name) for name in names]
    origin = [
        sql.SQL("{} = {}").format(sql.Identifier("old", name), sql.Literal(original[name]))
        for name in names
        if name in original
    ]
    return sql.SQL(COPY).format(
        table=sql.Identifier(schema, table),
        columns=sql.SQL(", ").join(map(sql.Identifier, names)),
        values=sql.SQL(", ").join(values),
        origin=sql.SQL(" AND ").join(origin),
    )
