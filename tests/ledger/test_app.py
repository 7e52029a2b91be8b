"""The wiring of the ledger."""

from pathlib import Path

import pytest
from common.http.tokens import TokensError
from ledger.app import create_app
from ledger.settings import LedgerSettings
from pydantic import SecretStr


def settings(tokens: Path) -> LedgerSettings:
    return LedgerSettings(
        kafka_bootstrap_servers="127.0.0.1:1",
        database_url=SecretStr("postgresql+psycopg://ledger@127.0.0.1:1/none"),
        api_tokens_file=tokens,
    )


def test_the_ledger_is_built_without_connecting_and_describes_its_routes(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"tokens": []}')

    app = create_app(settings(tokens))

    names = ("costs", "summary", "breakdown", "coverage", "revisions", "days/{day}", "export")
    paths = [f"/v1/accounts/{{account_id}}/{name}" for name in names]
    assert list(app.openapi()["paths"]) == paths


def test_a_missing_file_of_tokens_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(TokensError, match="No such file"):
        create_app(settings(tmp_path / "none.json"))


def test_the_default_port_is_8003(tmp_path: Path) -> None:
    assert settings(tmp_path).port == 8003
