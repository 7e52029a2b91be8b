"""What a benchmark looks up in the ledger's tables: what was stored, how large it is, and whether rows were touched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from benchmarks.support.facts import Reading
from benchmarks.support.report import RefusedRunError

SIZE = """
    SELECT pg_total_relation_size('ledger.days') + coalesce(pg_total_relation_size(to_regclass('ledger.label_lists')), 0)
"""
STORED = """
    SELECT (SELECT count(*) FROM ledger.days WHERE observed_at = %(at)s),
        (SELECT count(*) FROM ledger.outcomes WHERE observed_at = %(at)s AND reconciled)
"""
WRITTEN = """
    SELECT relname, n_tup_ins + n_tup_upd + n_tup_del + n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = 'ledger'
"""
VERSIONS: tuple[LiteralString, ...] = (
    "SELECT sum(hashtextextended(concat_ws(' ', ctid, xmin, xmax), 0)) FROM ledger.days",
    "SELECT sum(hashtextextended(concat_ws(' ', ctid, xmin, xmax), 0)) FROM ledger.outcomes",
)
"""A lock of a row changes its xmax, a write its place or its xmin."""


@dataclass(frozen=True, slots=True)
class Touched:
    """How often rows of each table were written, and a hash of the versions and locks of all rows."""

    written: Mapping[str, int]
    versions: tuple[Any, ...]


async def touched(dsn: str) -> Touched:
    """Call it while no ledger runs: a session reports its counts when it ends."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        written: dict[str, int] = dict(await (await connection.execute(WRITTEN)).fetchall())
        versions = [(await (await connection.execute(one)).fetchone() or (None,))[0] for one in VERSIONS]
    return Touched(written, tuple(versions))


async def check_stored(dsn: str, reading: Reading) -> None:
    """Refuse a run that did not store everything: a figure of it means nothing."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        found = await (await connection.execute(STORED, {"at": reading.observed_at})).fetchone()
    expected = (reading.integrations * reading.windows * reading.days, reading.outcomes)
    if found != expected:
        raise RefusedRunError(f"days and reconciled outcomes in the ledger are {found} instead of {expected}")


async def size_of_days(dsn: str) -> int:
    """Bytes of the table and of its lists of labels, indexes included, after VACUUM."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("VACUUM ledger.days")
        row = await (await connection.execute(SIZE)).fetchone()
    return int(row[0]) if row else 0
