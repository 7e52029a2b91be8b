"""The integrations that a request is for. Callers own the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.database import Pipeline
from contract.fields import Trigger
from contract.problems import Code

from syncer.domain import Refusal, may_call, refusal_of

_LOCK = """
    SELECT integration_id, account_id, removed, refused_code, refused_since FROM integrations
    WHERE integration_id = ANY(%(ids)s) ORDER BY integration_id FOR UPDATE
"""


@dataclass(frozen=True, slots=True)
class Target:
    """An integration that a request is for, its row locked."""

    integration_id: UUID
    account_id: str
    removed: bool
    refusal: Refusal | None


async def lock(pipeline: Pipeline, ids: Sequence[UUID]) -> list[Target]:
    """Those that are known."""
    rows = await pipeline.execute(_LOCK, {"ids": list(ids)})
    return [
        Target(
            row["integration_id"],
            row["account_id"],
            row["removed"],
            refusal_of(row["refused_code"], row["refused_since"]),
        )
        for row in await rows.fetchall()
    ]


def blocking_code(target: Target, trigger: Trigger, now: datetime) -> Code | None:
    """Why no call is made for a request of this kind; None where one is."""
    if target.removed:
        return Code.NOT_FOUND
    if target.refusal and not may_call(trigger, target.refusal, now):
        return target.refusal.code
    return None
