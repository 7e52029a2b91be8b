"""What runs ahead of what was announced: each row is its own outbox. Callers own the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from contract.fields import Status
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from connector.store import COLUMNS, FROM, Integration, integration_of

AT_ONCE = 100

_DAILY = "announced_at < clock_timestamp() - interval '1 day'"
_KEY_AHEAD = "(credential_version, wrap_version) > (announced_credential_version, announced_wrap_version)"

# Each kind by an index of its own: a hundred thousand keys in a new wrap do not hold up what changed.
_DUE = text(f"""
    SELECT {COLUMNS}, i.sealed_at, i.announced_version, i.announced_credential_version, i.announced_wrap_version,
        coalesce(i.{_DAILY}, false) AS daily
    {FROM}
    WHERE i.integration_id IN (
        (SELECT integration_id FROM integrations WHERE version > announced_version ORDER BY changed_at LIMIT {AT_ONCE})
        UNION (SELECT integration_id FROM integrations WHERE {_KEY_AHEAD} ORDER BY sealed_at LIMIT {AT_ONCE})
        UNION (SELECT integration_id FROM integrations WHERE {_DAILY} ORDER BY announced_at LIMIT {AT_ONCE})
    )
    ORDER BY i.changed_at
""")  # noqa: S608 - only constants are put in

_SAME_KEY = "(i.announced_credential_version, i.announced_wrap_version) = (told.was_credential, told.was_wrap)"
_OTHER_KEY = """(i.announced_credential_version, i.announced_wrap_version) > (told.credential, told.wrap)
    OR (i.envelope IS NULL AND NOT told.gone)"""

# What was not told is null here, and then stays as it is.
_TOLD = """
    UPDATE integrations i SET
        announced_version = CASE WHEN i.announced_version = told.was_version THEN told.version
            WHEN i.announced_version > told.version THEN 0 ELSE i.announced_version END,
        announced_credential_version = CASE WHEN {other} THEN 0 WHEN {same} THEN told.credential
            ELSE i.announced_credential_version END,
        announced_wrap_version = CASE WHEN {other} THEN 0 WHEN {same} THEN told.wrap ELSE i.announced_wrap_version END,
        announced_at = CASE WHEN told.gone IS NOT NULL AND told.version IS NOT NULL THEN clock_timestamp()
            ELSE i.announced_at END
    FROM (
        SELECT new.* FROM unnest(
            CAST(:ids AS uuid[]), CAST(:was_version AS bigint[]), CAST(:version AS bigint[]),
            CAST(:was_credential AS integer[]), CAST(:was_wrap AS integer[]),
            CAST(:credential AS integer[]), CAST(:wrap AS integer[]), CAST(:gone AS boolean[])
        ) new (integration_id, was_version, version, was_credential, was_wrap, credential, wrap, gone)
        JOIN integrations held USING (integration_id) FOR NO KEY UPDATE OF held {waiting}
    ) told
    WHERE i.integration_id = told.integration_id
    RETURNING i.integration_id
"""
_NOTE_FREE, _NOTE = (
    text(_TOLD.format(other=_OTHER_KEY, same=_SAME_KEY, waiting=waiting)) for waiting in ("SKIP LOCKED", "")
)


@dataclass(frozen=True, slots=True)
class Due:
    """A row to be announced: its state, its key, or both."""

    row: Integration
    sealed_at: datetime
    """When its key was sealed, or wrapped anew."""
    was_version: int
    """What was announced last; the same of the key below."""
    was_credential: int
    was_wrap: int
    daily: bool
    """A day has passed since both were announced last."""

    @property
    def tells_state(self) -> bool:
        return self.daily or self.row.version > self.was_version

    @property
    def tells_key(self) -> bool:
        """Also that it is gone, whenever a removed row tells its state."""
        ahead = (self.row.credential_version, self.row.wrap_version) > (self.was_credential, self.was_wrap)
        return self.daily or ahead or self.row.status is Status.REMOVED


async def due(connection: AsyncConnection) -> list[Due]:
    """Rows that run ahead or were last announced a day ago, in the order of their changes: a batch of each kind."""
    rows = (await connection.execute(_DUE)).mappings().all()
    return [
        Due(
            row=integration_of(dict(row)),
            sealed_at=row["sealed_at"],
            was_version=row["announced_version"],
            was_credential=row["announced_credential_version"],
            was_wrap=row["announced_wrap_version"],
            daily=row["daily"],
        )
        for row in rows
    ]


async def note_told(connection: AsyncConnection, told: Sequence[Due], *, wait: bool) -> list[Due]:
    """Set what was announced by compare-and-set; where something newer was announced meanwhile, it is due again.

    Rows that others hold are left out unless `wait`: who waits for several at once can be waited for. Answers what was left out.
    """
    statement = _NOTE if wait else _NOTE_FREE
    noted = set((await connection.execute(statement, _columns(told))).scalars())
    return [one for one in told if one.row.integration_id not in noted]


def _columns(told: Sequence[Due]) -> dict[str, list[object]]:
    states = [one if one.tells_state else None for one in told]
    keys = [one if one.tells_key else None for one in told]
    return {
        "ids": [one.row.integration_id for one in told],
        "was_version": [one and one.was_version for one in states],
        "version": [one and one.row.version for one in states],
        "was_credential": [one and one.was_credential for one in keys],
        "was_wrap": [one and one.was_wrap for one in keys],
        "credential": [one and one.row.credential_version for one in keys],
        "wrap": [one and one.row.wrap_version for one in keys],
        "gone": [one and one.row.envelope is None for one in keys],
    }
