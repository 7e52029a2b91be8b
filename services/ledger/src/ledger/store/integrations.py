"""The integrations as the connector announced them."""

from contract.messages import IntegrationState
from contract.problems import Code
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.domain import Expectation

_SAVE = text("""
    INSERT INTO integrations (integration_id, account_id, team_id, label, plan, status, duplicate, version, history,
        history_from, added_at, removed_at)
    VALUES (:integration_id, :account_id, :team_id, :label, :plan, :status, :duplicate, :version, :history,
        :history_from, :added_at, :removed_at)
    ON CONFLICT (integration_id) DO UPDATE SET
        account_id = excluded.account_id, team_id = excluded.team_id, label = excluded.label, plan = excluded.plan,
        status = excluded.status, duplicate = excluded.duplicate, version = excluded.version, history = excluded.history,
        history_from = excluded.history_from, added_at = excluded.added_at, removed_at = excluded.removed_at
    WHERE integrations.version < excluded.version
        OR (integrations.version = excluded.version AND NOT integrations.duplicate AND excluded.duplicate)
""")


async def save(connection: AsyncConnection, state: IntegrationState) -> None:
    """Keep the newest version; of an equal one that the integration is a duplicate, which a former release did not know."""
    fields = state.model_dump(exclude={"status_code", "credential_version", "changed_at"})
    await connection.execute(_SAVE, fields | {"duplicate": state.status_code is Code.ALREADY_CONNECTED})


async def expectations(connection: AsyncConnection, account_id: str) -> list[Expectation]:
    """Which days each integration of the account is expected to cover; an integration with an erased history: none."""
    rows = await connection.execute(
        text("""SELECT integration_id, history_from, removed_at, added_at, duplicate FROM integrations
                WHERE account_id = :account_id AND history IS DISTINCT FROM 'erase' ORDER BY integration_id"""),
        {"account_id": account_id},
    )
    return [Expectation(*row) for row in rows]
