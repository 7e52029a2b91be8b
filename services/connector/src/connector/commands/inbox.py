"""Commands that were taken: each row is a command to be done, and then its own result to be told. Callers own the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from contract.messages import Command
from contract.problems import Code
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

LEASE_SECONDS = 60
"""How long a command waits for a process that died; longer than an attempt may take, so that none is renewed."""
KEPT_DAYS = 30
"""Longer than a command can come again: it is a week on its topic, and may have been asked for a week ahead."""
AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a command has no effect."""

    code: Code
    detail: str
    integration_id: UUID | None = None
    """What it is about, where that is known."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A command in hand."""

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


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a command, to be told."""

    number: int
    """In the order of first arrival."""
    account_id: str
    command_id: str
    integration_id: UUID | None
    code: Code | None
    """None: it took effect."""
    detail: str | None
    done_at: datetime


_KEEP = text("""
    INSERT INTO commands (account_id, command_id, type, body, integration_id, code, detail, done_at)
    VALUES (:account_id, :command_id, :type, CAST(:body AS jsonb), :integration_id, :code, :detail,
        CASE WHEN CAST(:body AS jsonb) IS NULL THEN clock_timestamp() END)
    ON CONFLICT (account_id, command_id) DO NOTHING
""")

# The first condition spares a look at each command that waits behind one in hand: a long queue of one account holds up nobody.
_CLAIM = text("""
    UPDATE commands c SET lease = :lease, lease_owner = :owner, lease_until = clock_timestamp() + make_interval(secs => :seconds)
    FROM (
        SELECT account_id, command_id FROM commands next
        WHERE done_at IS NULL
            AND account_id NOT IN (SELECT account_id FROM commands WHERE lease IS NOT NULL AND lease_until >= clock_timestamp())
            AND number = (SELECT min(number) FROM commands WHERE account_id = next.account_id AND done_at IS NULL)
            AND (lease IS NULL OR lease_until < clock_timestamp())
        ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED
    ) picked
    WHERE c.account_id = picked.account_id AND c.command_id = picked.command_id
    RETURNING c.lease, c.account_id, c.command_id, c.type, CAST(c.body AS text) AS body, c.failures, clock_timestamp() AS at
""")

_FINISH = text("""
    UPDATE commands SET body = NULL, lease = NULL, lease_owner = NULL, lease_until = NULL, done_at = clock_timestamp(),
        integration_id = :integration_id, code = :code, detail = :detail
    WHERE account_id = :account_id AND command_id = :command_id AND lease = :lease AND done_at IS NULL
""")

_LET_GO = text("""
    UPDATE commands SET lease = NULL, lease_owner = NULL, lease_until = NULL, failures = failures + :failed
    WHERE account_id = :account_id AND command_id = :command_id AND lease = :lease
""")

_UNTOLD = text(f"""
    SELECT number, account_id, command_id, integration_id, code, detail, done_at FROM commands
    WHERE done_at IS NOT NULL AND published_at IS NULL ORDER BY number LIMIT {AT_ONCE}
    FOR UPDATE SKIP LOCKED
""")  # noqa: S608 - only constants are put in

_TOLD = text("""
    UPDATE commands SET published_at = clock_timestamp()
    WHERE number = ANY(:numbers) AND done_at IS NOT NULL AND published_at IS NULL
""")

_PUT_AWAY = text("""
    DELETE FROM commands WHERE received_at < clock_timestamp() - make_interval(days => :days) AND published_at IS NOT NULL
""")


async def keep(connection: AsyncConnection, command: Command) -> bool:
    """Take a command, to be done; False where one of its account and ID was taken before, whatever that one said."""
    values = {"type": type(command).__name__, "body": command.model_dump_json()}
    return await _keep(connection, command.account_id, command.command_id, values)


async def keep_rejected(
    connection: AsyncConnection, account_id: str, command_id: str, kind: str | None, rejection: Rejection
) -> bool:
    """Take a command that has no effect; nothing of it is kept but its IDs and its type (`kind`), where it was read."""
    return await _keep(connection, account_id, command_id, {"type": kind, **_columns(rejection)})


async def _keep(connection: AsyncConnection, account_id: str, command_id: str, values: Mapping[str, object]) -> bool:
    none = {"body": None, "integration_id": None, "code": None, "detail": None}
    values = none | dict(values) | {"account_id": account_id, "command_id": command_id}
    return (await connection.execute(_KEEP, values)).rowcount > 0


async def claim(connection: AsyncConnection, owner: str) -> Claim | None:
    """Take the command that came first, of an account with none in hand; None where nothing is to be done."""
    values = {"lease": uuid4(), "owner": owner, "seconds": LEASE_SECONDS}
    row = (await connection.execute(_CLAIM, values)).one_or_none()
    return Claim(**row._mapping) if row else None  # noqa: SLF001 - a row's public mapping has this name


async def finish(connection: AsyncConnection, claim: Claim, integration_id: UUID | None) -> bool:
    """Note that it took effect, and forget what was asked; False where somebody else has taken the command over."""
    return await _finish(connection, claim, {"integration_id": integration_id, "code": None, "detail": None})


async def finish_rejected(connection: AsyncConnection, claim: Claim, rejection: Rejection) -> bool:
    """Note that it had no effect, and forget what was asked; False where somebody else has taken the command over."""
    return await _finish(connection, claim, _columns(rejection))


async def _finish(connection: AsyncConnection, claim: Claim, values: dict[str, object]) -> bool:
    return (await connection.execute(_FINISH, {**_held(claim), **values})).rowcount > 0


async def let_go(connection: AsyncConnection, claim: Claim, *, failed: bool) -> None:
    """Leave the command to whoever looks next; `failed`: for an unknown reason."""
    await connection.execute(_LET_GO, {**_held(claim), "failed": int(failed)})


async def let_go_of(connection: AsyncConnection, owner: str) -> None:
    """Free what `owner` has in hand, or had before it died."""
    await connection.execute(
        text("UPDATE commands SET lease = NULL, lease_owner = NULL, lease_until = NULL WHERE lease_owner = :owner"),
        {"owner": owner},
    )


async def hold_untold(connection: AsyncConnection) -> list[Result]:
    """Results that are not known to be published: a batch, in the order of arrival. Nobody else gets them meanwhile."""
    rows = (await connection.execute(_UNTOLD)).mappings()
    return [Result(**{**row, "code": Code(row["code"]) if row["code"] else None}) for row in rows]


async def note_told(connection: AsyncConnection, results: Sequence[Result]) -> None:
    """The broker has the results."""
    await connection.execute(_TOLD, {"numbers": [one.number for one in results]})


async def put_away(connection: AsyncConnection) -> None:
    """Forget commands that can come no more."""
    await connection.execute(_PUT_AWAY, {"days": KEPT_DAYS})


def _columns(rejection: Rejection) -> dict[str, object]:
    return {
        "integration_id": rejection.integration_id,
        "code": rejection.code.value,
        "detail": rejection.detail,
    }


def _held(claim: Claim) -> dict[str, object]:
    return {"account_id": claim.account_id, "command_id": claim.command_id, "lease": claim.lease}
