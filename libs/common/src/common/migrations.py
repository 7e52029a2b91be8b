"""Migrations: each service has its schema, its role that owns nothing, and its own line of Alembic versions."""

import re
from importlib import resources

import psycopg
from alembic import command, context
from alembic.config import Config
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, text

SERVICES = ("connector", "syncer", "ledger")
_LOCK = 7_205_759_403
"""Advisory lock: two migrations at once wait for each other."""


def migrate(url: SecretStr, service: str, *, schema: str | None = None, password: SecretStr | None = None) -> str:
    """Bring `service`'s tables up to date in `schema` (default: its own); answers the version that stands now.

    `url` must belong to a role that may create schemas and roles. `password` is set on the service's role.
    """
    schema = schema or service
    if not re.fullmatch(r"[a-z_]{1,40}", schema):
        raise ValueError("a schema's name is 1-40 of a-z and _")
    engine = create_engine(url.get_secret_value(), hide_parameters=True, connect_args={"connect_timeout": 5})
    try:
        with engine.begin() as connection:
            version = _upgrade(connection, service, schema)
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


def _set_password(connection: Connection, role: str, password: SecretStr) -> None:
    """Only its SCRAM verifier leaves this process, so that no log of the server can hold the password."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - the URL's scheme was checked
    verifier = driver.pgconn.encrypt_password(password.get_secret_value().encode(), role.encode(), b"scram-sha-256")
    change = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier.decode()))
    driver.execute(change)
