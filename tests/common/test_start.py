"""A service that cannot start reports why in a sentence, and nothing secret."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.system  # starts the services
@pytest.mark.parametrize("service", ["connector", "syncer"])
def test_a_keyring_that_others_can_read_stops_the_start(tmp_path: Path, service: str) -> None:
    keyring, tokens = tmp_path / "keyring.json", tmp_path / "tokens.json"
    keyring.write_text('{"current": "obviously-fake", "keys": {}}')
    keyring.chmod(0o644)
    tokens.write_text('{"tokens": []}')
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/none",
        "KEYRING_FILE": str(keyring),
        "SEALING_KEY_FILE": str(keyring),
        "API_TOKENS_FILE": str(tokens),
    }

    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", service], env=env, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 78
    assert ended.stderr.startswith(f"the key file {keyring} is accessible to others")
    assert "Traceback" not in ended.stderr + ended.stdout
    assert "obviously-fake" not in ended.stderr + ended.stdout
