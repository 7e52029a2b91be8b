"""Statements of several windows that wait at the same time are one transaction: one round trip and one commit."""

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import LiteralString
from uuid import UUID

from common.database import Database
from common.errors import is_transient

REST_SECONDS = 0.04
"""Least time from a group of several statements to the next group: while many come, those of so long are one commit."""
AT_ONCE = 32
"""Statements of a transaction, at most: the rows of their integrations are locked meanwhile."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    integration_id: UUID
    statement: LiteralString
    values: Mapping[str, object]
    rows: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class GroupCommit:
    """Executes statements that lock one integration each, and its windows and team behind it.

    What waits while a group is executed is the next group. Who comes alone waits for nobody.
    """

    def __init__(self, database: Database, *, rest: float = REST_SECONDS) -> None:
        self._database = database
        self._rest = rest
        self._next_at = 0.0
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def execute(self, integration_id: UUID, statement: LiteralString, values: Mapping[str, object]) -> int:
        """The rows that `statement` answered or changed, once that is committed; raises what it failed with."""
        one = _Waiting(integration_id, statement, values)
        self._waiting.append(one)
        if self._task is None:
            self._start()
        return await one.rows

    def _start(self) -> None:
        self._task = asyncio.create_task(self._execute_all(), context=Context())  # of nobody's trace
        self._task.add_done_callback(self._ended)

    def _ended(self, _task: asyncio.Task[None]) -> None:
        """However it ended: whoever waits has the next one."""
        self._task = None
        if self._waiting:
            self._start()

    async def _execute_all(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._waiting:
            if (rest := self._next_at - clock()) > 0:
                await asyncio.sleep(rest)
            group, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            self._next_at = clock() + self._rest if 1 < len(group) < AT_ONCE else 0.0
            await self._execute(sorted(group, key=lambda one: one.integration_id))  # so that no two groups deadlock

    async def _execute(self, group: Sequence[_Waiting]) -> None:
        try:
            rows = await self._commit(group)
        except Exception as error:  # noqa: BLE001 - whoever waits decides on every failure
            if len(group) > 1 and not is_transient(error):  # one of them is to blame
                for one in group:
                    await self._execute([one])
                return
            rows = [error] * len(group)
        except BaseException:  # nobody waits for a task that was ended
            for one in group:
                one.rows.cancel()
            raise
        for one, result in zip(group, rows, strict=True):
            if not one.rows.done():  # whoever waited was cancelled
                _end(one.rows, result)

    async def _commit(self, group: Sequence[_Waiting]) -> Sequence[int | Exception]:
        async with self._database.pipeline() as pipeline:
            cursors = [await pipeline.execute(one.statement, one.values) for one in group]
        return [cursor.rowcount for cursor in cursors]


def _end(rows: asyncio.Future[int], result: int | Exception) -> None:
    if isinstance(result, Exception):
        rows.set_exception(result)
    else:
        rows.set_result(result)
