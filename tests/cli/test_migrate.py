import base64
import hashlib
import hmac
from pathlib import Path

import psycopg
import pytest

from tests.support.commands import invoke
from tests.support.urls import psycopg_url

FAKE_PASSWORD = "obviously-fake"  # noqa: S105 - the one that every test of the database sets


def opens(verifier: str, password: str) -> bool:
    """Whether `password` is the one that Postgres keeps as `verifier` (RFC 5802)."""
    _, cost, keys = verifier.split("$")
    rounds, salt = cost.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    return base64.b64decode(keys.split(":")[0]) == stored


def test_migrate_sets_a_services_password_from_a_file_and_shows_it_nowhere(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "database_url").write_text(postgres)
    (tmp_path / "ledger_password").write_text(FAKE_PASSWORD)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))

    migrated = invoke("migrate", "--service", "ledger", "--json")

    assert [one["service"] for one in migrated.json()] == ["ledger"]
    with psycopg.connect(psycopg_url(postgres)) as connection:
        kept = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'ledger'").fetchone()
    assert kept is not None
    assert opens(kept[0], FAKE_PASSWORD)
    assert FAKE_PASSWORD not in migrated.stdout + migrated.stderr
