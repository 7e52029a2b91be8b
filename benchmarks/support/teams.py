"""Teams that are connected before a benchmark begins: rows of the connector, which its relay announces."""

import asyncio
import json
from uuid import UUID, uuid4

import psycopg
from common.crypto.envelopes import Binding
from common.crypto.keyring import load_keyring
from common.crypto.sealing import Sealer
from contract.topics import SYNC_OUTCOMES

from benchmarks.support.system import Running

ENVIRONMENT = "local"
AT_ONCE = 1_000
ACCOUNTS = "INSERT INTO connector.accounts (account_id, plan) SELECT unnest(%s::text[]), 'free'"
INTEGRATIONS = """
    INSERT INTO connector.integrations (integration_id, account_id, team_id, label, status, status_since, version,
        credential_version, wrap_version, envelope, history_from, backfill_first, backfill_last, added_at, changed_at)
    SELECT new.id, new.account, new.id::text, 'label', 'backfilling', now(), 1, 1, 1, new.envelope::jsonb,
        today - 29, today - 29, today, now(), now()
    FROM unnest(%s::uuid[], %s::text[], %s::text[]) new (id, account, envelope),
        CAST(now() AT TIME ZONE 'UTC' AS date) today
"""


async def connect_teams(running: Running, count: int) -> list[UUID]:
    """Each of an account of its own on plan free; returns when the ledger has the backfill of all of them."""
    sealer = Sealer(load_keyring(running.folder / "keyring.json"), ENVIRONMENT)
    ids = [uuid4() for _ in range(count)]
    expected = await running.broker.end(SYNC_OUTCOMES) + count
    async with await psycopg.AsyncConnection.connect(running.dsn) as connection:
        for some in (ids[start : start + AT_ONCE] for start in range(0, count, AT_ONCE)):
            accounts = [account_of(one) for one in some]
            places = [Binding(account, one, 1) for account, one in zip(accounts, some, strict=True)]
            envelopes = [json.dumps(sealer.seal("obviously-fake-key", place)) for place in places]
            await connection.execute(ACCOUNTS, [accounts])
            await connection.execute(INTEGRATIONS, [some, accounts, envelopes])
    while await running.broker.end(SYNC_OUTCOMES) < expected:
        await asyncio.sleep(0.2)
    await running.settled()
    return ids


def account_of(integration_id: UUID) -> str:
    return f"account-{integration_id}"
