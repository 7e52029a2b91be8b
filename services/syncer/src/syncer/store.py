"""Integrations and their sealed keys, as announced by the connector. Callers own the transaction."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, LiteralString
from uuid import UUID

from common.database import Cursor, Pipeline, pipelined
from contract.fields import canonical_team_id
from contract.messages import CredentialSealed, IntegrationState
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.domain import Refusal, makes_no_calls, refusal_of

PORTION = 2_000
"""Integrations."""


@dataclass(frozen=True, slots=True)
class Integration:
    """An integration, as last announced."""

    removed: bool
    version: int
    credential_version: int
    history_from: date
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Credential:
    """A sealed key."""

    integration_id: UUID
    account_id: str
    credential_version: int
    wrap_version: int
    envelope: dict[str, str]


_SAVE = """
    INSERT INTO integrations
        (integration_id, account_id, team_id, plan, removed, version, credential_version, history_from, added_at)
    VALUES (%(integration_id)s, %(account_id)s, %(team_id)s, %(plan)s, %(removed)s, %(version)s, %(credential_version)s,
        %(history_from)s, %(added_at)s)
    ON CONFLICT (integration_id) DO UPDATE SET
        account_id = excluded.account_id, team_id = excluded.team_id, plan = excluded.plan,
        removed = excluded.removed, version = excluded.version,
        credential_version = excluded.credential_version, history_from = excluded.history_from, added_at = excluded.added_at
    WHERE integrations.version <= excluded.version
"""

_LOAD = """
    SELECT integration_id, removed, version, credential_version, history_from, refused_code, refused_since FROM integrations
    WHERE integration_id = ANY(%(ids)s) ORDER BY integration_id FOR UPDATE
"""

# The order keeps two batches from deadlocking.
_SAVE_CREDENTIALS = """
    INSERT INTO credentials (integration_id, account_id, credential_version, wrap_version, envelope)
    SELECT integration_id, account_id, credential_version, wrap_version, envelope
    FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS new(integration_id uuid, account_id text, credential_version integer,
        wrap_version integer, envelope jsonb)
    WHERE NOT EXISTS (SELECT 1 FROM integrations i WHERE i.integration_id = new.integration_id AND i.removed
        AND i.credential_version >= new.credential_version)
    ORDER BY integration_id
    ON CONFLICT (integration_id) DO UPDATE SET
        account_id = excluded.account_id, credential_version = excluded.credential_version,
        wrap_version = excluded.wrap_version, envelope = excluded.envelope
    WHERE (credentials.credential_version, credentials.wrap_version) < (excluded.credential_version, excluded.wrap_version)
"""

_DROP_CREDENTIAL = "DELETE FROM credentials WHERE integration_id = %(id)s AND credential_version <= %(up_to)s"

_CLEAR_REFUSAL: tuple[LiteralString, ...] = (
    """UPDATE integrations SET refused_code = NULL, refused_since = NULL, refused_once_at = NULL
       WHERE integration_id = %(id)s""",
    "UPDATE windows SET due_at = clock_timestamp() WHERE integration_id = %(id)s AND closed_at IS NULL",
)


_SERIALIZE = """
    SELECT max(at) AS at FROM (
        SELECT pg_advisory_xact_lock(hashtextextended(id, 0)), clock_timestamp() AS at
        FROM (SELECT id FROM unnest(%(ids)s::text[]) id ORDER BY id) ordered OFFSET 0
    ) locked
"""

_HAVE_OPEN_WINDOWS = """
    SELECT FROM windows WHERE integration_id = ANY(%(ids)s::uuid[]) AND closed_at IS NULL LIMIT 1
"""

_PORTION = text("""
    SELECT integration_id FROM integrations WHERE integration_id > :after ORDER BY integration_id LIMIT :portion
""")


async def now(connection: AsyncConnection) -> datetime:
    """The database's clock: the one clock of all syncers."""
    instant: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return instant


async def serialize(connection: AsyncConnection, integration_id: UUID) -> datetime:
    """As `serialize_all`, of one integration; answers the instant."""
    async with pipelined(connection) as pipeline:
        rows = await serialize_all(pipeline, [integration_id])
    return await instant_of(rows)


async def serialize_all(pipeline: Pipeline, integration_ids: Collection[UUID]) -> Cursor:
    """Wait until other transactions about these integrations, known or not, have ended; the row is for `instant_of`.

    They are locked in one order, which keeps two batches from deadlocking.
    """
    return await pipeline.execute(_SERIALIZE, {"ids": [str(one) for one in integration_ids]})


async def instant_of(rows: Cursor) -> datetime:
    """When the others had ended, by the clock of `now`: what `serialize_all` answered about at least one integration."""
    (row,) = await rows.fetchall()
    instant: datetime = row["at"]
    return instant


async def portion(connection: AsyncConnection, after: UUID | None) -> Sequence[UUID]:
    """At most PORTION integrations, in their order behind `after`: a statement about each of their days takes its time."""
    values = {"after": after or UUID(int=0), "portion": PORTION}
    return (await connection.execute(_PORTION, values)).scalars().all()


async def lock_integrations(pipeline: Pipeline, integration_ids: Collection[UUID]) -> Cursor:
    """Those that are known, their rows locked until the transaction ends; the rows are for `integrations_of`."""
    return await pipeline.execute(_LOAD, {"ids": list(integration_ids)})


async def integrations_of(rows: Cursor) -> dict[UUID, Integration]:
    """What `lock_integrations` answered."""
    return {row.pop("integration_id"): _integration(row) for row in await rows.fetchall()}


async def save_integration(pipeline: Pipeline, state: IntegrationState) -> None:
    """Limits and claims compare Team IDs, which older records have in other forms."""
    team_id = canonical_team_id(state.team_id) or state.team_id
    values = {"team_id": team_id, "plan": state.plan.value, "removed": makes_no_calls(state)}
    await pipeline.execute(_SAVE, state.model_dump() | values)


async def clear_refusal(pipeline: Pipeline, integration_id: UUID) -> None:
    """Delete a refusal, and make open windows due."""
    for statement in _CLEAR_REFUSAL:
        await pipeline.execute(statement, {"id": integration_id})


async def save_credentials(pipeline: Pipeline, sealed: Sequence[CredentialSealed]) -> None:
    """Store each credential, unless a newer one or a newer wrap of it is stored, or its integration was removed."""
    oldest_first = sorted(sealed, key=lambda message: (message.credential_version, message.wrap_version))
    newest = {message.integration_id: message for message in oldest_first}.values()
    rows = [message.model_dump(mode="json") for message in newest]
    await pipeline.execute(_SAVE_CREDENTIALS, {"rows": json.dumps(rows)})


async def have_open_windows(pipeline: Pipeline, integration_ids: Collection[UUID]) -> bool:
    """Whether any of them has one."""
    rows = await pipeline.execute(_HAVE_OPEN_WINDOWS, {"ids": list(integration_ids)})
    return bool(await rows.fetchall())


async def drop_credential(pipeline: Pipeline, integration_id: UUID, up_to: int) -> None:
    """Delete the sealed key, unless it is newer than `up_to`."""
    await pipeline.execute(_DROP_CREDENTIAL, {"id": integration_id, "up_to": up_to})


async def load_credential(connection: AsyncConnection, integration_id: UUID) -> Credential | None:
    statement = text("SELECT * FROM credentials WHERE integration_id = :id")
    row = (await connection.execute(statement, {"id": integration_id})).one_or_none()
    return Credential(**row._mapping) if row else None  # noqa: SLF001 - a row's public mapping has this name


def _integration(row: dict[str, Any]) -> Integration:
    refusal = refusal_of(row.pop("refused_code"), row.pop("refused_since"))
    return Integration(**row, refusal=refusal)
