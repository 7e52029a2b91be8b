"""The table of commands: each row is a command to be done, and then its own result to be published.

Callers own the transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from common.database import Pipeline
from common.direct_connections import Driver
from contract.messages import Command
from contract.problems import Code
from contract.tracing import traceparent
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

LEASE = timedelta(seconds=60)
"""How long a command waits for a process that died; longer than an attempt, so that no lease is renewed."""
BATCH_SIZE = 100
REPEAT_AFTER = timedelta(minutes=1)
"""Between two copies of a result: however often its command is sent again, there is at most one a minute."""
UNREAD = "unread"
"""Type of a command of which only the IDs were readable, in metrics."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a command has no effect."""

    code: Code
    detail: str
    integration_id: UUID | None = None
    """The integration that the problem is about, where it is known."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A leased command."""

    lease: UUID
    account_id: str
    command_id: str
    type: str
    body: str
    """JSON, its key sealed."""
    failures: int
    """How many times it failed for an unknown reason."""
    at: datetime
    """When it was claimed, by the database's clock."""
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended."""

    number: int
    """In the order of first arrival."""
    account_id: str
    command_id: str
    integration_id: UUID | None
    code: Code | None
    """None: it took effect."""
    detail: str | None
    done_at: datetime
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class CommandStatus:
    """What is known of a command."""

    is_done: bool
    integration_id: UUID | None
    code: Code | None
    """None: it took effect, or is not done."""
    detail: str | None


_KEEP = """
    INSERT INTO commands (account_id, command_id, type, body, integration_id, code, detail, traceparent, done_at)
    VALUES (%(account_id)s, %(command_id)s, %(type)s, %(body)s::jsonb, %(integration_id)s, %(code)s, %(detail)s,
        %(traceparent)s, CASE WHEN %(body)s::jsonb IS NULL THEN clock_timestamp() END)
    ON CONFLICT (account_id, command_id) DO NOTHING RETURNING number
"""

# The first condition skips the commands behind a leased one: a long queue of one account delays no other.
_CLAIM = """
    UPDATE commands c SET lease = %(lease)s, lease_owner = %(owner)s, lease_until = clock_timestamp() + %(duration)s
    FROM (
        SELECT account_id, command_id FROM commands next
        WHERE done_at IS NULL
            AND account_id NOT IN (SELECT account_id FROM commands WHERE lease IS NOT NULL AND lease_until >= clock_timestamp())
            AND number = (SELECT min(number) FROM commands WHERE account_id = next.account_id AND done_at IS NULL)
            AND (lease IS NULL OR lease_until < clock_timestamp())
        ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED
    ) picked
    WHERE c.account_id = picked.account_id AND c.command_id = picked.command_id
    RETURNING c.lease, c.account_id, c.command_id, c.type, c.body::text AS body, c.failures, clock_timestamp() AS at,
        c.traceparent
"""

_FIND = """
    SELECT done_at IS NOT NULL AS is_done, integration_id, code, detail FROM commands
    WHERE account_id = %(account_id)s AND command_id = %(command_id)s
"""

_FINISH = """
    UPDATE commands SET body = NULL, lease = NULL, lease_owner = NULL, lease_until = NULL, done_at = clock_timestamp(),
        integration_id = %(integration_id)s, code = %(code)s, detail = %(detail)s
    WHERE account_id = %(account_id)s AND command_id = %(command_id)s AND lease = %(lease)s AND done_at IS NULL
    RETURNING number
"""

_RELEASE = """
    UPDATE commands SET lease = NULL, lease_owner = NULL, lease_until = NULL, failures = failures + %(failed)s
    WHERE account_id = %(account_id)s AND command_id = %(command_id)s AND lease = %(lease)s
"""

_RELEASE_OWNER = (
    "UPDATE commands SET lease = NULL, lease_owner = NULL, lease_until = NULL WHERE lease_owner = %(owner)s"
)

_LOCK_UNPUBLISHED = text("""
    SELECT number, account_id, command_id, integration_id, code, detail, done_at, traceparent FROM commands
    WHERE done_at IS NOT NULL AND published_at IS NULL ORDER BY number LIMIT :batch
    FOR UPDATE SKIP LOCKED
""")

# A row that is being published is locked: its copy is due a minute after that, not before.
_REPEAT = """
    UPDATE commands SET repeat_at = coalesce(published_at, clock_timestamp()) + %(pause)s
    WHERE account_id = %(account_id)s AND command_id = %(command_id)s AND done_at IS NOT NULL AND repeat_at IS NULL
    RETURNING number
"""

_REPEAT_DUE = """
    UPDATE commands SET published_at = NULL, repeat_at = NULL
    WHERE repeat_at <= clock_timestamp() AND published_at IS NOT NULL
"""

_MARK_PUBLISHED = text("""
    UPDATE commands SET published_at = clock_timestamp(), repeat_at = NULL
    WHERE number = ANY(:numbers) AND done_at IS NOT NULL AND published_at IS NULL
""")

_DELETE_EXPIRED = text("""
    DELETE FROM commands WHERE received_at < now() - CAST(:keep AS interval) AND published_at IS NOT NULL
""")


async def keep(pipeline: Pipeline, command: Command) -> bool:
    """Store a command to be done; False where its account has one of this ID already, whatever that one contains."""
    values = {"type": type(command).__name__, "body": command.model_dump_json()}
    return await _keep(pipeline, command.account_id, command.command_id, values)


async def keep_rejected(
    pipeline: Pipeline, account_id: str, command_id: str, kind: str | None, rejection: Rejection
) -> bool:
    """Store the rejection of a command, without its content; `kind`: its type, where that could be read."""
    return await _keep(pipeline, account_id, command_id, {"type": kind, **_columns(rejection)})


async def _keep(pipeline: Pipeline, account_id: str, command_id: str, values: Mapping[str, object]) -> bool:
    none = {"body": None, "integration_id": None, "code": None, "detail": None}
    values = (
        none | dict(values) | {"account_id": account_id, "command_id": command_id, "traceparent": traceparent.get()}
    )
    return bool(await (await pipeline.execute(_KEEP, values)).fetchall())


async def repeat(pipeline: Pipeline, account_id: str, command_id: str) -> bool:
    """Let the command's result be published once more; False where that is due already, or it is not done yet."""
    values = {"account_id": account_id, "command_id": command_id, "pause": REPEAT_AFTER}
    return bool(await (await pipeline.execute(_REPEAT, values)).fetchall())


async def repeat_due(driver: Driver) -> None:
    """Make results whose copy is due unpublished."""
    await driver.execute(_REPEAT_DUE)


async def claim(driver: Driver, owner: str) -> Claim | None:
    """Lease the oldest command of an account that has none leased; None where nothing is to be done."""
    values = {"lease": uuid4(), "owner": owner, "duration": LEASE}
    row = await (await driver.execute(_CLAIM, values)).fetchone()
    return Claim(**row) if row else None


async def find(driver: Driver, account_id: str, command_id: str) -> CommandStatus | None:
    """What is known of the command; None where none arrived, or it is deleted already."""
    values = {"account_id": account_id, "command_id": command_id}
    row = await (await driver.execute(_FIND, values)).fetchone()
    return CommandStatus(**_with_code(row)) if row else None


async def finish(pipeline: Pipeline, claim: Claim, integration_id: UUID | None) -> bool:
    """Store that it took effect, and delete its content; False where the lease is lost."""
    return await _finish(pipeline, claim, {"integration_id": integration_id, "code": None, "detail": None})


async def finish_rejected(pipeline: Pipeline, claim: Claim, rejection: Rejection) -> bool:
    """Store that it had no effect, and delete its content; False where the lease is lost."""
    return await _finish(pipeline, claim, _columns(rejection))


async def _finish(pipeline: Pipeline, claim: Claim, values: dict[str, object]) -> bool:
    return bool(await (await pipeline.execute(_FINISH, _leased(claim) | values)).fetchall())


async def release(driver: Driver, claim: Claim, *, failed: bool) -> None:
    """Make the command free again; `failed`: for an unknown reason."""
    await driver.execute(_RELEASE, {**_leased(claim), "failed": int(failed)})


async def release_owner(driver: Driver, owner: str) -> None:
    """Free everything that `owner` has leased."""
    await driver.execute(_RELEASE_OWNER, {"owner": owner})


async def lock_unpublished(connection: AsyncConnection) -> list[Result]:
    """The oldest results without `published_at`, at most BATCH_SIZE, locked until the transaction ends."""
    rows = (await connection.execute(_LOCK_UNPUBLISHED, {"batch": BATCH_SIZE})).mappings()
    return [Result(**_with_code(dict(row))) for row in rows]


async def mark_published(connection: AsyncConnection, results: Sequence[Result]) -> None:
    """The broker has the results."""
    await connection.execute(_MARK_PUBLISHED, {"numbers": [one.number for one in results]})


async def delete_expired(connection: AsyncConnection, keep: timedelta) -> None:
    """Delete published commands older than `keep`."""
    await connection.execute(_DELETE_EXPIRED, {"keep": keep})


def _with_code(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "code": Code(row["code"]) if row["code"] else None}


def _columns(rejection: Rejection) -> dict[str, object]:
    return {"integration_id": rejection.integration_id, "code": rejection.code.value, "detail": rejection.detail}


def _leased(claim: Claim) -> dict[str, object]:
    return {"account_id": claim.account_id, "command_id": claim.command_id, "lease": claim.lease}
