"""All readable days are read again once a week, and restatements of old ones are found. Callers own the transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from common.database import pipelined
from contract.fields import Trigger, rfc3339
from contract.rules import readable_from
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer import requests, store
from syncer.domain import SWEEP_EVERY, first_sweep_after, sweep
from syncer.requests import Request

_DUE = """
    SELECT {columns} FROM integrations
    WHERE NOT removed AND refused_code IS NULL AND (sweep_at IS NULL OR sweep_at <= :at)
"""
_ALL_DUE = text(_DUE.format(columns="integration_id") + "ORDER BY integration_id")
_ONE_DUE = text(
    _DUE.format(columns="sweep_at, greatest(history_from, :readable_from, beyond_xai_until + 1) AS first_day")
    + "AND integration_id = :id FOR UPDATE"
)
_NEXT = text("UPDATE integrations SET sweep_at = :next WHERE integration_id = :id")


async def due(connection: AsyncConnection, at: datetime) -> Sequence[UUID]:
    """The integrations that are to be swept, or have no date for their first sweep."""
    return (await connection.execute(_ALL_DUE, {"at": at})).scalars().all()


async def queue(connection: AsyncConnection, integration_id: UUID) -> None:
    """Queue the sweep of the integration, if it is due, and note the date of the next one."""
    at = await store.serialize(connection, integration_id)
    values = {"id": integration_id, "at": at, "readable_from": readable_from(at.date())}
    row = (await connection.execute(_ONE_DUE, values)).one_or_none()
    if row is None:
        return
    pause = SWEEP_EVERY if row.sweep_at else first_sweep_after(integration_id)
    await connection.execute(_NEXT, {"id": integration_id, "next": at + pause})
    async with pipelined(connection) as pipeline:
        for days in sweep(row.first_day, at.date()) if row.sweep_at else ():
            request_id = f"sweep:{integration_id}:{days.first}:{rfc3339(at)}"
            await requests.take(pipeline, Request(request_id, Trigger.SWEEP, days), integration_id, at)
