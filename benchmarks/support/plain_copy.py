"""*e*, the measure of every figure about storing facts: one binary COPY of as many facts as rows, on the same Postgres."""

import asyncio
import time

import psycopg

SOURCE = """
    CREATE UNLOGGED TABLE source AS
    SELECT one.id, date '2026-01-01' + day AS day, label, (random() * 20)::numeric(20, 10) AS usd
    FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, %s)) AS one, generate_series(1, 90) AS day,
        unnest(%s::text[]) AS label
"""
TARGET = "CREATE TABLE target (integration_id uuid, day date, label text, usd numeric, PRIMARY KEY (integration_id, day, label))"
DAYS = 90
PIECE = 1 << 20
"""Bytes that are handed over at once."""


class PlainCopy:
    """Facts as Postgres itself writes them: this process only passes them on."""

    def __init__(self, dsn: str, labels: list[str], facts: int) -> None:
        """`dsn` is of a database for this alone; rounded up to whole integrations of 90 days."""
        self._dsn = dsn
        self._labels = labels
        self._integrations = -(-facts // (DAYS * len(labels)))
        self._data = b""

    async def prepare(self) -> None:
        """Make the data."""
        await asyncio.to_thread(self._prepare)

    async def facts_per_second(self) -> float:
        """Copy into a table that is empty, logged and has its key; the commit is part of it."""
        return await asyncio.to_thread(self._copy)

    def _prepare(self) -> None:
        with psycopg.connect(self._dsn) as connection, connection.cursor() as cursor:
            cursor.execute(SOURCE, [self._integrations, self._labels])
            with cursor.copy("COPY (SELECT * FROM source) TO STDOUT (FORMAT binary)") as copy:
                self._data = b"".join(copy)
            cursor.execute("DROP TABLE source")

    def _copy(self) -> float:
        with psycopg.connect(self._dsn, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS target")
            cursor.execute(TARGET)
            cursor.execute("CHECKPOINT")
            began = time.perf_counter()
            with cursor.copy("COPY target FROM STDIN (FORMAT binary)") as copy:
                for start in range(0, len(self._data), PIECE):
                    copy.write(self._data[start : start + PIECE])
            seconds = time.perf_counter() - began
            cursor.execute("DROP TABLE target")
        return self._integrations * DAYS * len(self._labels) / seconds
