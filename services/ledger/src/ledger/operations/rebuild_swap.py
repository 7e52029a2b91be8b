"""Replace the live tables by the rebuilt ones while the ledger runs. Callers own the transaction."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.operations.rebuild_tables import SCHEMA, RebuildError
from ledger.store.erasure import ERASING_LOCK

# Renaming a schema locks no table: writers must wait until it is done, and then look names up again.
# The order is that of the ledger's own handlers: an erase holds its integration's row before it takes the erasing lock.
_LOCKS = (
    "LOCK TABLE ledger.integrations IN EXCLUSIVE MODE",
    f"SELECT pg_advisory_xact_lock({ERASING_LOCK})",
    "LOCK TABLE ledger.days, ledger.day_revisions, ledger.outcomes, ledger.erased IN EXCLUSIVE MODE",
)

_LOST = """
    SELECT l.integration_id, l.day FROM ledger.days l LEFT JOIN days r USING (integration_id, day, account_id)
    WHERE (r.day IS NULL OR r.observed_at < l.observed_at)
        AND l.integration_id NOT IN (SELECT integration_id FROM erased) ORDER BY 1, 2
"""

_GRANTS = """
DO $$ DECLARE one record; BEGIN
    FOR one IN
        SELECT format('GRANT %s ON %I.%I', a.privilege_type, 'ledger_rebuilt', c.relname) AS given, a.grantee
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.relnamespace = 'ledger'::regnamespace AND a.grantee <> c.relowner
            AND to_regclass(format('%I.%I', 'ledger_rebuilt', c.relname)) IS NOT NULL
        UNION ALL
        SELECT format('GRANT %s ON SCHEMA %I', a.privilege_type, 'ledger_rebuilt'), a.grantee
        FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'ledger' AND a.grantee <> n.nspowner
    LOOP
        EXECUTE one.given || ' TO ' || CASE one.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(one.grantee)) END;
    END LOOP;
END $$
"""

_SEARCH_PATHS = """
DO $$ DECLARE one record; BEGIN
    FOR one IN
        SELECT p.oid::regprocedure AS name, n.nspname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname ~ '^ledger(_before_[0-9_]+)?$' AND array_to_string(p.proconfig, ' ') LIKE '%search_path%'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path TO %I, pg_temp', one.name, one.nspname);
    END LOOP;
END $$
"""


async def stop_writes(connection: AsyncConnection) -> None:
    """Until the end of the transaction nobody writes to the live tables; they can be read."""
    for statement in _LOCKS:
        await connection.execute(text(statement))


async def exchange(connection: AsyncConnection, now: datetime) -> str:
    """Replace the live tables by the rebuilt ones, after `stop_writes`; returns the schema that keeps the former ones.

    Raises RebuildError where a day that is not erased would be missing, or fall back to an older reading.
    """
    lost = (await connection.execute(text(_LOST))).all()
    if lost:
        first = f"{lost[0].day} of integration {lost[0].integration_id}"
        raise RebuildError(f"not swapped: {len(lost)} days would be lost or older, the first is {first}")
    before = f"ledger_before_{now:%Y%m%d_%H%M%S}"
    for statement in (
        _GRANTS,
        f"ALTER SCHEMA ledger RENAME TO {before}",
        f"ALTER SCHEMA {SCHEMA} RENAME TO ledger",
        _SEARCH_PATHS,
        f"REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {before} FROM ledger",
        f"REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA {before} FROM ledger",
    ):
        await connection.execute(text(statement))
    return before
