"""Statements of several windows that wait at the same time are one transaction: one round trip and one commit."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import LiteralString
from uuid import UUID

from common.database import Database
from common.errors import is_transient

REST_SECONDS = 0.04
"""Least time from a group of several statements to the next group: while many come, those of so long are one commit.

A statement for which nobody waits is executed with the next one, or alone after so long.
"""
AT_ONCE = 32
"""Statements of a transaction, at most: the rows of their integrations are locked meanwhile."""

Values = Mapping[str, object]
"""Of the parameters of a statement: one each, or a list of several."""

# A plan is kept, maybe from a time when the table was empty; and to sort some thousand due windows seems cheaper than it is.
BY_INDEX = """
    SELECT set_config(name, value, true) FROM (VALUES ('plan_cache_mode', 'force_generic_plan'), ('enable_sort', 'off'),
        ('enable_hashjoin', 'off'), ('enable_seqscan', 'off')) setting(name, value)
"""
# In one order, so that no two groups deadlock; and what was committed by whoever held a row is seen.
_LOCK = "SELECT FROM integrations WHERE integration_id = ANY(%(ids)b::uuid[]) ORDER BY integration_id FOR UPDATE"


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    integration_id: UUID
    lease: UUID
    statement: LiteralString
    values: Values
    is_urgent: bool
    changed: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class GroupCommit:
    """Executes statements of claims, each about one integration, its windows and its team, which it locks behind it.

    What waits while a group is executed is the next group. Who comes alone waits for nobody, unless it is not urgent.
    """

    def __init__(self, database: Database, *, rest: float = REST_SECONDS) -> None:
        self._database = database
        self._rest = rest
        self._next_at = 0.0
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def execute(
        self, integration_id: UUID, lease: UUID, statement: LiteralString, values: Values, *, is_urgent: bool = True
    ) -> bool:
        """Whether `statement` returned `lease`, once that is committed; raises what it failed with.

        It is executed once for all that wait with it, and takes `columns` of their values.
        """
        one = _Waiting(integration_id, lease, statement, values, is_urgent)
        self._waiting.append(one)
        if is_urgent:
            self._start()
        else:
            asyncio.get_running_loop().call_later(self._rest, self._start_for, one)
        return await one.changed

    def _start_for(self, one: _Waiting) -> None:
        if one in self._waiting:
            self._start()

    def _start(self) -> None:
        if self._task is not None or not self._waiting:
            return
        self._task = asyncio.create_task(self._execute_all(), context=Context())  # of nobody's trace
        self._task.add_done_callback(self._ended)

    def _ended(self, _task: asyncio.Task[None]) -> None:
        """However it ended: whoever waits has the next one."""
        self._task = None
        self._start()

    async def _execute_all(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._waiting:
            if (rest := self._next_at - clock()) > 0:
                await asyncio.sleep(rest)
            group, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            urgent = sum(one.is_urgent for one in group)
            self._next_at = clock() + self._rest if urgent > 1 and len(group) < AT_ONCE else 0.0
            await self._execute(sorted(group, key=lambda one: one.integration_id))  # so that no two groups deadlock

    async def _execute(self, group: Sequence[_Waiting]) -> None:
        changed: Collection[UUID] | Exception
        try:
            changed = await self._commit(group)
        except Exception as error:  # noqa: BLE001 - whoever waits decides on every failure
            if len(group) > 1 and not is_transient(error):  # one of them is to blame
                for one in group:
                    await self._execute([one])
                return
            changed = error
        except BaseException:  # nobody waits for a task that was ended
            for one in group:
                one.changed.cancel()
            raise
        for one in group:
            if not one.changed.done():  # whoever waited was cancelled
                _end(one, changed)

    async def _commit(self, group: Sequence[_Waiting]) -> Collection[UUID]:
        """The leases that were returned."""
        together: dict[LiteralString, list[Values]] = {}
        for one in group:
            together.setdefault(one.statement, []).append(one.values)
        async with self._database.pipeline() as pipeline:
            await pipeline.execute(BY_INDEX)
            await pipeline.execute(_LOCK, {"ids": [one.integration_id for one in group]})
            cursors = [await pipeline.execute(statement, columns(rows)) for statement, rows in together.items()]
        return {row["lease"] for cursor in cursors for row in await cursor.fetchall()}


def _end(one: _Waiting, changed: Collection[UUID] | Exception) -> None:
    if isinstance(changed, Exception):
        one.changed.set_exception(changed)
    else:
        one.changed.set_result(one.lease in changed)


def columns(rows: Sequence[Values]) -> dict[str, list[object]]:
    """The values of all `rows` by name; those that are lists in one list."""
    found: dict[str, list[object]] = {}
    for row in rows:
        for name, value in row.items():
            column = found.setdefault(name, [])
            if isinstance(value, list):
                column.extend(value)
            else:
                column.append(value)
    return found
