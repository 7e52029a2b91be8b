"""What a migration changes in rows that a former version wrote."""

from collections.abc import Iterator

import pytest
from alembic import command
from common.migrations import migrate
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import IntegrityError

from tests.connector.support.connector import TEAM, team_of

SCHEMA = "connector_former"
OTHER = team_of("other")
INSERT = """
    INSERT INTO integrations (integration_id, account_id, team_id, label, status, status_since, version, credential_version,
        wrap_version, envelope, history, history_from, backfill_first, backfill_last, added_at, removed_at, changed_at)
    SELECT CAST(:id AS uuid), :account, :team, :label, :status, now(), 4, 1, 1,
        CASE WHEN :status <> 'removed' THEN CAST('{}' AS jsonb) END, :history, now(), now(), now(),
        now() + :added * interval '1 day', CASE WHEN :status = 'removed' THEN now() END, now()
"""


@pytest.fixture
def former(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """Tables as of 0008."""
    with monkeypatch.context() as patch:
        upgrade = command.upgrade
        patch.setattr(command, "upgrade", lambda config, _head: upgrade(config, "0008"))
        migrate(SecretStr(postgres), "connector", schema=SCHEMA)
    engine = create_engine(postgres, connect_args={"options": f"-c search_path={SCHEMA}"}, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
        connection.execute(text(f"DROP SCHEMA {SCHEMA} CASCADE"))
    engine.dispose()


class FormerConnector:
    """Writes rows as a former version did; an integration's label is its name here."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, label: str, account: str, team: str, *, status: str = "active", history: str | None = None) -> None:
        self._connection.execute(
            text("INSERT INTO accounts (account_id, plan) VALUES (:id, 'free') ON CONFLICT DO NOTHING"), {"id": account}
        )
        count = self._connection.execute(text("SELECT count(*) FROM integrations")).scalar_one()
        row = {"id": team_of(label), "account": account, "team": team, "label": label, "added": count}
        self._connection.execute(text(INSERT), row | {"status": status, "history": history})

    def rows(self) -> dict[str, tuple[object, ...]]:
        """Team, status, code and version by label."""
        rows = self._connection.execute(text("SELECT label, team_id, status, status_code, version FROM integrations"))
        return {row.label: tuple(row)[1:] for row in rows}


def test_a_team_that_an_account_has_twice_is_read_by_its_oldest_integration(former: Connection, postgres: str) -> None:
    connector = FormerConnector(former)
    connector.add("oldest", "one", TEAM.upper())
    connector.add("second", "one", TEAM)
    connector.add("third", "one", TEAM.replace("-", ""))
    connector.add("another account", "two", TEAM.upper())
    connector.add("right", "two", OTHER)
    connector.add("no uuid", "two", "team-1")
    connector.add("like it", "two", "TEAM-1")

    migrate(SecretStr(postgres), "connector", schema=SCHEMA)

    assert connector.rows() == {
        "oldest": (TEAM, "active", None, 5),
        "second": (TEAM, "error", "already_connected", 5),
        "third": (TEAM.replace("-", ""), "error", "already_connected", 5),
        "another account": (TEAM, "active", None, 5),
        "right": (OTHER, "active", None, 4),
        "no uuid": ("team-1", "active", None, 4),
        "like it": ("TEAM-1", "active", None, 4),
    }
    oldest = former.execute(text("SELECT DISTINCT duplicate_of FROM integrations WHERE duplicate_of IS NOT NULL"))
    assert str(oldest.scalar_one()) == team_of("oldest")
    with pytest.raises(IntegrityError):
        connector.add("a fourth", "one", TEAM.upper())


def test_removed_and_erased_integrations_get_the_one_form_and_mark_nobody(former: Connection, postgres: str) -> None:
    connector = FormerConnector(former)
    connector.add("kept", "one", TEAM, status="removed", history="keep")
    connector.add("erased", "one", TEAM.upper(), status="removed", history="erase")
    connector.add("live", "one", TEAM.upper())
    connector.add("kept twice", "two", TEAM, status="removed", history="keep")
    connector.add("in capitals", "two", TEAM.upper(), status="removed", history="keep")

    migrate(SecretStr(postgres), "connector", schema=SCHEMA)

    assert connector.rows() == {
        "kept": (TEAM, "removed", None, 4),
        "erased": (TEAM, "removed", None, 5),
        "live": (TEAM, "active", None, 5),
        "kept twice": (TEAM, "removed", None, 4),
        "in capitals": (TEAM, "removed", None, 5),
    }


def test_screens_of_the_accounts_that_it_changes_start_over(former: Connection, postgres: str) -> None:
    connector = FormerConnector(former)
    connector.add("in capitals", "changed", TEAM.upper())
    connector.add("right", "unchanged", TEAM)

    migrate(SecretStr(postgres), "connector", schema=SCHEMA)

    rows = former.execute(text("SELECT account_id, last_event FROM accounts ORDER BY account_id"))
    assert [tuple(row) for row in rows] == [("changed", 1), ("unchanged", 0)]
