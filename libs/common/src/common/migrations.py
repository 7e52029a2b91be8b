"""Migrations: each service has its schema, its role that owns nothing, and its own line of Alembic versions."""

import re
from importlib import resources
from typing import Any, LiteralString

import psycopg
from alembic import command, context
from alembic.config import Config
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, text

from common.database import LIMITS_MS

SERVICES = ("connector", "syncer", "ledger", "console")
CONNECTIONS = 80
"""Limit of one role: a service that leaks connections leaves some for the others (a server has 100 by default)."""
_HAS_SETTING = """
SELECT 1 FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase JOIN pg_roles r ON r.oid = s.setrole
WHERE d.datname = current_database() AND r.rolname = :role AND :setting = ANY (s.setconfig)
"""
_HAS_LIMIT = "SELECT 1 FROM pg_roles WHERE rolname = :role AND rolconnlimit = :count"
_DATABASE_IS_OPEN = """
SELECT 1 FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
WHERE datname = current_database() AND grantee = 0 LIMIT 1
"""
_PUBLIC_IS_OPEN = "SELECT 1 FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'public' AND grantee = 0 LIMIT 1"
"""What is set already is not changed: a role without the right to change it can still migrate."""
_LOCK = 7_205_759_403
"""Advisory lock: two migrations at once wait for each other."""


def migrate(url: SecretStr, service: str, *, schema: str | None = None, password: SecretStr | None = None) -> str:
    """Bring `service`'s tables up to date in `schema` (default: its own); returns its version.

    `url` must belong to a role that may create schemas and roles. `password` is set on the service's role.
    """
    schema = schema or service
    if not re.fullmatch(r"[a-z_]{1,40}", schema):
        raise ValueError("a schema's name is 1-40 of a-z and _")
    engine = create_engine(url.get_secret_value(), hide_parameters=True, connect_args={"connect_timeout": 5})
    try:
        with engine.begin() as connection:
            version = _upgrade(connection, service, schema)
            _limit(connection, service)
            if password is not None:
                _set_password(connection, service, password)
            return version
    finally:
        engine.dispose()


def run_env() -> None:
    """The whole of every service's `migrations/env.py`."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(connection=connection, version_table_schema=context.config.attributes["schema"])
    with context.begin_transaction():
        context.run_migrations()


def _upgrade(connection: Connection, service: str, schema: str) -> str:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    _ensure_role(connection, service)
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {service}"))
    connection.execute(text(f"SET LOCAL search_path TO {schema}"))
    config = Config()
    with resources.as_file(resources.files(service) / "migrations") as folder:
        config.set_main_option("script_location", str(folder))
        config.set_main_option("path_separator", "os")
        config.attributes.update(connection=connection, schema=schema)
        command.upgrade(config, "head")
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def _ensure_role(connection: Connection, role: str) -> None:
    known = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).scalar()
    if not known:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))


def _limit(connection: Connection, role: str) -> None:
    """Limits of a role, which hold for any client.

    A session may raise its own timeouts: they stop mistakes, not attackers. Grants stop attackers.
    """
    own, database = sql.Identifier(role), sql.Identifier(_scalar(connection, "SELECT current_database()"))
    for name, value in LIMITS_MS.items():
        if not _scalar(connection, _HAS_SETTING, role=role, setting=f"{name}={value}"):
            setting = sql.Identifier(name), sql.Literal(value)
            _run(connection, "ALTER ROLE {} IN DATABASE {} SET {} = {}", own, database, *setting)
    if not _scalar(connection, _HAS_LIMIT, role=role, count=CONNECTIONS):
        _run(connection, "ALTER ROLE {} CONNECTION LIMIT {}", own, sql.Literal(CONNECTIONS))
    _run(connection, "GRANT CONNECT ON DATABASE {} TO {}", database, own)
    if _scalar(connection, _DATABASE_IS_OPEN):
        _run(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", database)
    if _scalar(connection, _PUBLIC_IS_OPEN):
        _run(connection, "REVOKE ALL ON SCHEMA public FROM PUBLIC")


def _scalar(connection: Connection, query: str, **values: object) -> Any:  # noqa: ANN401 - any column
    return connection.execute(text(query), values).scalar()


def _run(connection: Connection, statement: LiteralString, *values: sql.Composable) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - the URL's scheme was checked
    driver.execute(sql.SQL(statement).format(*values))


def _set_password(connection: Connection, role: str, password: SecretStr) -> None:
    """Only its SCRAM verifier leaves this process, so that no log of the server can hold the password."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - the URL's scheme was checked
    verifier = driver.pgconn.encrypt_password(password.get_secret_value().encode(), role.encode(), b"scram-sha-256")
    change = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier.decode()))
    driver.execute(change)
