"""For state machines: steps that are no coroutines, a database that breaks on request, and a clock that they move."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import psycopg
from common.database import Database, Pipeline, make_engine
from common.direct_connections import Driver
from hypothesis import HealthCheck, Phase, settings
from pydantic import SecretStr
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

T = TypeVar("T")
CLOCK = "clock"
_SHADOWED = (
    f"CREATE SCHEMA IF NOT EXISTS {CLOCK}",
    f"CREATE TABLE IF NOT EXISTS {CLOCK}.current AS SELECT clock_timestamp() AS at",
    f"""CREATE OR REPLACE FUNCTION {CLOCK}.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT at FROM {CLOCK}.current'""",  # noqa: S608 - only constants are put in
)
QUICK = settings(
    max_examples=12,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
"""Of every run: always the same examples. `make faults` runs ten times as many, random ones."""
THOROUGH = settings(QUICK, max_examples=200, stateful_step_count=50, derandomize=False, print_blob=True)


class Ends(StrEnum):
    """How a transaction ends."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    """The connection breaks before its commit."""
    UNKNOWN = "unknown"
    """It is committed, and the connection breaks before the answer arrives."""


class BreakingDatabase(Database):
    """Its next transactions end as in `plan`, and later ones well."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.plan = deque[Ends]()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        how = self.plan.popleft() if self.plan else Ends.COMMITTED
        async with super().transaction() as connection:
            yield connection
            if how is Ends.ABORTED:
                raise _broken()
        if how is Ends.UNKNOWN:
            raise _broken()

    @asynccontextmanager
    async def direct(self) -> AsyncIterator[Driver]:
        how = self.plan.popleft() if self.plan else Ends.COMMITTED
        async with super().direct() as driver:
            if how is not Ends.ABORTED:
                yield driver
            else:
                async with driver.transaction():
                    yield driver
                    raise psycopg.OperationalError
        if how is Ends.UNKNOWN:
            raise psycopg.OperationalError

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[Pipeline]:
        is_aborted = bool(self.plan) and self.plan[0] is Ends.ABORTED
        if is_aborted:
            self.plan[0] = Ends.COMMITTED  # of its connection: it is the transaction that breaks
        async with super().pipeline() as pipeline:
            yield pipeline
            if is_aborted:
                raise psycopg.OperationalError

    def breaks(self, *plan: Ends) -> None:
        self.plan = deque(plan)


def _broken() -> OperationalError:
    return OperationalError("COMMIT", {}, Exception("the connection broke"))


class Tables:
    """A service's tables; with `clock` their clock is moved by the test only."""

    def __init__(self, postgres: str, service: str, *, clock: bool = False) -> None:
        """`postgres`: the owner's URL; the service's tables are there."""
        self._service = service
        # Statements find `clock_timestamp` on their search path before Postgres' own.
        schema = f"{CLOCK},{service},pg_catalog" if clock else service
        url = make_url(postgres).set(username=service, password="obviously-fake")  # noqa: S106 - of a database that is thrown away
        self.database = BreakingDatabase(
            make_engine(SecretStr(url.render_as_string(hide_password=False)), schema=schema)
        )
        self.owner = Database(make_engine(SecretStr(postgres), schema=schema))

    async def stop_clock(self) -> None:
        """From now on only `set_clock` and `pass_time` move it."""
        async with self.owner.transaction() as connection:
            for statement in _SHADOWED:
                await connection.execute(text(statement))
            for right in (f"USAGE ON SCHEMA {CLOCK}", f"SELECT ON {CLOCK}.current"):
                await connection.execute(text(f"GRANT {right} TO {self._service}"))

    async def set_clock(self, at: datetime) -> None:
        async with self.owner.transaction() as connection:
            await connection.execute(text(f"UPDATE {CLOCK}.current SET at = :at"), {"at": at})  # noqa: S608 - a constant

    async def now(self) -> datetime:
        async with self.owner.transaction() as connection:
            at: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
            return at

    async def pass_time(self, span: timedelta) -> None:
        """Move the clock forward, or back."""
        await self.set_clock(await self.now() + span)

    async def close_all(self) -> None:
        for database in (self.database, self.owner):
            await database.close()


class Stage(Tables):
    """The same with an event loop of its own, on which a machine's steps run."""

    def __init__(self, postgres: str, service: str, *, clock: bool = False) -> None:
        super().__init__(postgres, service, clock=clock)
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        if clock:
            self.run(self.stop_clock())

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(step)

    def close(self) -> None:
        self.run(self.close_all())
        self._runner.close()
