"""What a service's role may do at the database, tried with each role: its own tables, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from common.database import LIMITS_MS
from common.migrations import CONNECTIONS, SERVICES, migrate
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

TABLES = {"console": "used_links"}
"""A table of a service that has no `integrations`."""
FORBIDDEN = {
    "make a table": "CREATE TABLE {own}.mine (id int)",
    "make a table for everybody": "CREATE TABLE public.mine (id int)",
    "make a temporary table": "CREATE TEMPORARY TABLE mine (id int)",
    "make a schema": "CREATE SCHEMA mine",
    "make a role": "CREATE ROLE mine SUPERUSER",
    "load code": "CREATE FUNCTION {own}.mine() RETURNS int LANGUAGE c AS 'mine', 'mine'",
    "write a function": "CREATE FUNCTION {own}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "change a table": "ALTER TABLE {own}.{table} ADD COLUMN mine int",
    "drop a table": "DROP TABLE {own}.{table}",
    "empty a table": "TRUNCATE {own}.{table}",
    "go back a version": "UPDATE {own}.alembic_version SET version_num = '0000'",
    "lift its limit of connections": "ALTER ROLE {own} CONNECTION LIMIT -1",
    "become the owner": "SET ROLE postgres",
    "become another service": "SET ROLE {other}",
    "read another service's tables": "SELECT 1 FROM {other}.integrations",
    "write another service's tables": "DELETE FROM {other}.integrations",
    "grant its rights away": "GRANT {own} TO {other}",
    "read passwords": "SELECT rolpassword FROM pg_authid",
    "read a file": "SELECT pg_read_file('/etc/passwd')",
    "write a file": "COPY {own}.{table} TO '/tmp/of-the-test'",
    "run a program": "COPY {own}.{table} TO PROGRAM 'true'",
    "change the server": "SET log_min_messages = 'panic'",
    "end others' sessions": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
}


@pytest.fixture(scope="module")
def roles(tables_of: Callable[[str], Any]) -> dict[str, Any]:
    return {service: tables_of(service) for service in SERVICES}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("what", FORBIDDEN)
async def test_a_services_role_may_not(roles: dict[str, Any], service: str, what: str) -> None:
    other = next(name for name in SERVICES if name != service)
    statement = FORBIDDEN[what].format(own=service, other=other, table=TABLES.get(service, "integrations"))
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner|no schema has been selected"):
        async with roles[service].service.transaction() as connection:
            await connection.execute(text(statement))


@pytest.mark.parametrize("service", SERVICES)
async def test_a_role_owns_nothing_and_is_nobody_else(roles: dict[str, Any], service: str) -> None:
    async with roles[service].owner.transaction() as connection:
        owned = await connection.execute(
            text("SELECT count(*) FROM pg_shdepend WHERE refobjid = CAST(:role AS regrole) AND deptype = 'o'"),
            {"role": service},
        )
        asked = text(
            "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls, rolconnlimit,"
            " (SELECT count(*) FROM pg_auth_members WHERE member = pg_roles.oid) FROM pg_roles WHERE rolname = :role"
        )
        rights = await connection.execute(asked, {"role": service})
    assert owned.scalar_one() == 0
    assert tuple(rights.one()) == (False, CONNECTIONS, 0)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("limit", LIMITS_MS)
async def test_a_roles_limits_hold_without_the_services_own_options(
    roles: dict[str, Any], service: str, limit: str
) -> None:
    async with roles[service].owner.transaction() as connection:
        kept = await connection.execute(
            text("SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = CAST(:role AS regrole)"),
            {"role": service},
        )
    assert f"{limit}={LIMITS_MS[limit]}" in kept.scalars().all()


async def test_nobody_else_may_even_connect(roles: dict[str, Any]) -> None:
    async with roles["ledger"].owner.transaction() as connection:
        asked = text(
            "SELECT count(*) FROM pg_database, aclexplode(datacl) WHERE datname = current_database() AND grantee = 0"
        )
        assert (await connection.execute(asked)).scalar_one() == 0


def test_a_second_migration_changes_nothing(roles: dict[str, Any], postgres: str) -> None:
    assert set(roles) == set(SERVICES)
    assert migrate(SecretStr(postgres), "ledger") == migrate(SecretStr(postgres), "ledger")
