"""A second set of the ledger's tables, beside the live ones: create them, and add what the topics no longer hold.

Statements run with the rebuilt schema as search path: bare names are the rebuilt tables, `ledger.` the live ones.
Callers own the transactions.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from common.errors import UsageError, UserError
from common.migrations import migrate
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SCHEMA = "ledger_rebuilt"
REBUILD_LOCK = 7_205_759_407
"""Advisory lock: one rebuild at a time."""
_REMOVABLE = re.compile(rf"{SCHEMA}|ledger_before_\d{{8}}_\d{{6}}")

_SAME_VERSION = "SELECT (SELECT version_num FROM ledger.alembic_version) = (SELECT version_num FROM alembic_version)"

_FIRST_RECORDS = """
    CREATE TEMPORARY TABLE first_records ON COMMIT DROP AS
    SELECT integration_id, coalesce(at, 'infinity') AS at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:instants AS timestamptz[])) AS f(integration_id, at)
    WHERE integration_id NOT IN (SELECT integration_id FROM erased)
"""

_ERASED = """
    SELECT erase_integration(integration_id) FROM ledger.erased
    WHERE integration_id NOT IN (SELECT integration_id FROM erased)
"""
_ERASED_AT = (
    "UPDATE erased e SET erased_at = l.erased_at FROM ledger.erased l WHERE l.integration_id = e.integration_id"
)

_OUTDATED_INTEGRATIONS = """
    DELETE FROM integrations r USING ledger.integrations l
    WHERE l.integration_id = r.integration_id AND l.version > r.version
"""
_INTEGRATIONS = "INSERT INTO integrations SELECT * FROM ledger.integrations ON CONFLICT DO NOTHING"

_LABEL_LISTS = """
    INSERT INTO label_lists SELECT * FROM ledger.label_lists
    WHERE labels_id IN (SELECT labels_id FROM day_revisions) ON CONFLICT DO NOTHING
"""
# With their lists, in one statement: what is erased between two may take the list of a day that was copied.
_DAYS = """
    WITH lists AS (INSERT INTO label_lists SELECT * FROM ledger.label_lists WHERE labels_id IN (
        SELECT l.labels_id FROM ledger.days l JOIN first_records f USING (integration_id) WHERE l.observed_at < f.at)
        ON CONFLICT DO NOTHING)
    INSERT INTO days SELECT l.* FROM ledger.days l JOIN first_records f USING (integration_id)
    WHERE l.observed_at < f.at ON CONFLICT DO NOTHING
"""

SAME_COSTS = "same_costs(ledger.costs_of(l.labels_id, l.amounts), costs_of(r.labels_id, r.amounts))"
"""Of a live row `l` and a rebuilt one `r`."""

# Where the first reading on the topic repeats what was known before, the run of equal readings began earlier.
_RUNS_OF_DAYS = f"""
    UPDATE days r SET said_since = l.said_since FROM ledger.days l JOIN first_records f USING (integration_id)
    WHERE r.integration_id = l.integration_id AND r.day = l.day AND r.account_id = l.account_id
        AND l.said_since < least(f.at, r.said_since) AND {SAME_COSTS}
        AND NOT EXISTS (SELECT 1 FROM day_revisions v WHERE v.integration_id = r.integration_id AND v.day = r.day
            AND v.account_id = r.account_id)
"""  # noqa: S608 - a constant is put in
_RUNS_OF_REVISIONS = f"""
    UPDATE day_revisions r SET said_since = l.said_since
    FROM ledger.day_revisions l JOIN first_records f USING (integration_id)
    WHERE r.integration_id = l.integration_id AND r.day = l.day AND r.account_id = l.account_id
        AND r.said_until = l.said_until AND l.said_since < least(f.at, r.said_since) AND {SAME_COSTS}
"""  # noqa: S608 - as above
_REVISIONS = """
    INSERT INTO day_revisions SELECT l.* FROM ledger.day_revisions l JOIN first_records f USING (integration_id)
    WHERE l.said_since < f.at AND l.said_until <= (
        SELECT least(d.said_since, (SELECT min(v.said_since) FROM day_revisions v
            WHERE v.integration_id = d.integration_id AND v.day = d.day AND v.account_id = d.account_id))
        FROM days d WHERE d.integration_id = l.integration_id AND d.day = l.day AND d.account_id = l.account_id)
    ON CONFLICT DO NOTHING
"""

_EARLY_OUTCOMES = """
    DELETE FROM outcomes r USING ledger.outcomes l JOIN first_records f USING (integration_id)
    WHERE r.integration_id = l.integration_id AND r.reading_id = l.reading_id AND r.account_id = l.account_id
        AND l.observed_at < f.at AND (r.event_id, r.reconciled, r.outcome) IS DISTINCT FROM (l.event_id, l.reconciled, l.outcome)
"""
_OUTCOMES = """
    INSERT INTO outcomes SELECT l.* FROM ledger.outcomes l JOIN first_records f USING (integration_id)
    WHERE l.observed_at < f.at ON CONFLICT DO NOTHING
"""

# A published outcome stays as it was; another result has a number of its own, should it ever be published.
_PUBLISHED = """
    UPDATE outcomes r SET event_id = l.event_id, judgements = l.judgements, outcome = l.outcome FROM ledger.outcomes l
    WHERE r.integration_id = l.integration_id AND r.reading_id = l.reading_id AND r.account_id = l.account_id
        AND (r.reconciled, r.unreconciled_days) = (l.reconciled, l.unreconciled_days)
        AND (r.event_id, r.judgements, r.outcome) IS DISTINCT FROM (l.event_id, l.judgements, l.outcome)
"""
_CHANGED = """
    UPDATE outcomes r SET judgements = l.judgements + 1, event_id = concat(r.reading_id, ':completed:', l.judgements + 1)
    FROM ledger.outcomes l
    WHERE r.integration_id = l.integration_id AND r.reading_id = l.reading_id AND r.account_id = l.account_id
        AND (r.reconciled, r.unreconciled_days) IS DISTINCT FROM (l.reconciled, l.unreconciled_days)
"""
_STORED_AT = """
    UPDATE outcomes r SET stored_at = l.stored_at FROM ledger.outcomes l
    WHERE r.integration_id = l.integration_id AND r.reading_id = l.reading_id AND r.account_id = l.account_id
"""


class RebuildError(UserError):
    """The rebuild cannot go on; the live tables are as they were."""


FirstRecords = Mapping[UUID, datetime | None]
"""By integration: when the first record on its partition was published; None: there is none."""


def make(url: SecretStr) -> str:
    """Create empty tables with the ledger's own migrations; returns their version."""
    return migrate(url, "ledger", schema=SCHEMA)


async def drop(connection: AsyncConnection, schema: str = SCHEMA) -> None:
    """Remove rebuilt tables, or those that a swap left; raises UsageError for any other schema."""
    if not _REMOVABLE.fullmatch(schema):
        raise UsageError(f"only {SCHEMA} and ledger_before_<date>_<time> can be dropped")
    await connection.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))


async def acquire_rebuild_lock(connection: AsyncConnection) -> None:
    """Keep out other rebuilds while the connection is open; raises RebuildError where one is running."""
    if not (await connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": REBUILD_LOCK})).scalar():
        raise RebuildError("another rebuild is running", "wait for its end")


async def check_versions(connection: AsyncConnection) -> None:
    """Raises RebuildError where the live tables are of another version."""
    if not (await connection.execute(text(_SAME_VERSION))).scalar():
        raise RebuildError("the ledger's tables are of another version", "run `grafient migrate` first")


async def live_integrations(connection: AsyncConnection) -> list[UUID]:
    """Those of which the live tables hold costs or outcomes."""
    rows = await connection.execute(
        text("SELECT integration_id FROM ledger.days UNION SELECT integration_id FROM ledger.outcomes")
    )
    return list(rows.scalars())


async def take_over_erased(connection: AsyncConnection) -> int:
    """Erase what the live ledger erased; returns how many integrations the topic did not name."""
    added = (await connection.execute(text(_ERASED))).all()
    await connection.execute(text(_ERASED_AT))
    return len(added)


async def take_over(connection: AsyncConnection, first_records: FirstRecords) -> dict[str, int]:
    """Copy what is older than the topics' first records; returns rows by table. May be repeated."""
    counts = {"erased": await take_over_erased(connection)}
    values = {"ids": list(first_records), "instants": list(first_records.values())}
    await connection.execute(text(_FIRST_RECORDS), values)
    await connection.execute(text(_OUTDATED_INTEGRATIONS))
    counts["integrations"] = await _rows(connection, _INTEGRATIONS)
    counts["days"] = await _rows(connection, _DAYS)
    await connection.execute(text("ALTER TABLE days DISABLE TRIGGER keep_revision"))
    for statement in (_RUNS_OF_DAYS, _RUNS_OF_REVISIONS):
        await connection.execute(text(statement))
    await connection.execute(text("ALTER TABLE days ENABLE TRIGGER keep_revision"))
    counts["day_revisions"] = await _rows(connection, _REVISIONS)
    await connection.execute(text(_LABEL_LISTS))
    await connection.execute(text(_EARLY_OUTCOMES))
    counts["outcomes"] = await _rows(connection, _OUTCOMES)
    for statement in (_PUBLISHED, _CHANGED, _STORED_AT, "DROP TABLE first_records"):
        await connection.execute(text(statement))
    return counts


async def _rows(connection: AsyncConnection, statement: str) -> int:
    return (await connection.execute(text(statement))).rowcount
