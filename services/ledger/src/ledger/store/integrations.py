"""The integrations as the connector announced them."""

from typing import LiteralString

from common.database import Cursor, Pipeline
from contract.messages import IntegrationState
from contract.problems import Code

_SAVE: LiteralString = """
    INSERT INTO integrations (integration_id, account_id, team_id, label, plan, status, duplicate, version, history,
        history_from, added_at, removed_at)
    VALUES (%(integration_id)s, %(account_id)s, %(team_id)s, %(label)s, %(plan)s, %(status)s, %(duplicate)s, %(version)s,
        %(history)s, %(history_from)s, %(added_at)s, %(removed_at)s)
    ON CONFLICT (integration_id) DO UPDATE SET
        account_id = excluded.account_id, team_id = excluded.team_id, label = excluded.label, plan = excluded.plan,
        status = excluded.status, duplicate = excluded.duplicate, version = excluded.version, history = excluded.history,
        history_from = excluded.history_from, added_at = excluded.added_at, removed_at = excluded.removed_at
    WHERE integrations.version < excluded.version
        OR (integrations.version = excluded.version AND NOT integrations.duplicate AND excluded.duplicate)
"""


async def save(pipeline: Pipeline, state: IntegrationState) -> None:
    """Keep the newest version; of an equal one that the integration is a duplicate, which a former release did not know."""
    fields = state.model_dump(mode="json", exclude={"status_code", "credential_version", "changed_at"})
    await pipeline.execute(_SAVE, fields | {"duplicate": state.status_code is Code.ALREADY_CONNECTED})


_EXPECTATIONS: LiteralString = """
    SELECT integration_id, history_from AS first, removed_at, added_at, duplicate AS is_duplicate FROM integrations
    WHERE account_id = %(account_id)s AND history IS DISTINCT FROM 'erase' ORDER BY integration_id
"""


async def expectations(pipeline: Pipeline, account_id: str) -> Cursor:
    """Which days each integration of the account is expected to cover: rows of the members of `Expectation`.

    An integration with an erased history has none.
    """
    return await pipeline.execute(_EXPECTATIONS, {"account_id": account_id})
