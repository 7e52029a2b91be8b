import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import make_secrets
import pytest
from common.crypto.keyring import load_keyring
from common.http.tokens import load_tokens
from common.settings import ServiceSettings
from connector.commands.opening import SealedCommandOpener
from console.links import load_secrets
from grafient.migrate import MigrateSettings
from sqlalchemy import make_url

LIVE = make_secrets.LIVE
NOW = datetime(2026, 11, 1, tzinfo=UTC)
FAKE_TOKEN = "fake-token-for-tests"  # noqa: S105 - obviously fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    owner = tmp_path.stat()
    make_secrets.write(tmp_path / "secrets", make_secrets.contents(FAKE_TOKEN), (owner.st_uid, owner.st_gid))
    return tmp_path / "secrets"


def _files(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file()]


def test_others_cannot_read_a_secret(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in _files(folder)} == {0o400}
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.rglob("*") if one.is_dir()} == {0o700}


def test_the_keyring_opens_and_no_two_are_alike(folder: Path) -> None:
    assert load_keyring(folder / LIVE["keyring"]).current == "first"
    assert (folder / LIVE["keyring"]).read_text() != make_secrets.contents(FAKE_TOKEN)[LIVE["keyring"]]


def test_commands_are_sealed_to_a_key_of_its_own(folder: Path) -> None:
    assert SealedCommandOpener(folder / LIVE["sealing_key"], "production").recipient().key_id == "first"
    assert (folder / LIVE["sealing_key"]).read_text() != (folder / LIVE["keyring"]).read_text()
    assert (folder / LIVE["sealing_key"]).read_text() != make_secrets.contents(FAKE_TOKEN)[LIVE["sealing_key"]]


def test_the_token_is_known_with_all_scopes_and_kept_nowhere(folder: Path) -> None:
    token = load_tokens(folder / LIVE["tokens"]).find(FAKE_TOKEN, NOW)

    assert token is not None
    assert token.scopes == make_secrets.SCOPES
    assert FAKE_TOKEN not in "".join(file.read_text() for file in _files(folder))


@pytest.mark.parametrize("service", make_secrets.SERVICES)
def test_a_service_logs_in_with_the_password_that_migrate_sets(folder: Path, service: str) -> None:
    settings = ServiceSettings.model_validate(
        {
            "database_url": (folder / f"{service}_database_url").read_text(),
            "kafka_bootstrap_servers": "kafka:9092",
            "port": 1,
        }
    )
    migrated = MigrateSettings.model_validate(
        {
            "database_url": (folder / "postgres_database_url").read_text(),
            f"{service}_password": (folder / f"{service}_password").read_text(),
        }
    )
    url, password = make_url(settings.database_url.get_secret_value()), migrated.password_of(service)

    assert password is not None
    assert (url.username, url.password, url.host) == (service, password.get_secret_value(), "postgres")


def test_the_proxy_has_a_folder_of_its_own_for_certificates_after_an_upgrade_too(folder: Path) -> None:
    (folder / make_secrets.HTTPS).rmdir()

    make_secrets.complete(folder, make_secrets.contents(FAKE_TOKEN))

    assert stat.S_IMODE((folder / make_secrets.HTTPS).stat().st_mode) == 0o700


def test_secrets_that_are_there_are_never_replaced(folder: Path) -> None:
    before = (folder / LIVE["keyring"]).read_text()

    with pytest.raises(FileExistsError):
        make_secrets.write(folder, {LIVE["keyring"]: json.dumps({})}, (0, 0))

    assert (folder / LIVE["keyring"]).read_text() == before


def test_secrets_of_an_earlier_version_are_completed_and_otherwise_left_alone(folder: Path) -> None:
    added = (LIVE["sealing_key"], LIVE["console_links"], "console_api_token")
    for name in added:
        (folder / name).unlink()
    before = {str(file): file.read_text() for file in _files(folder)}

    assert make_secrets.complete(folder, make_secrets.contents(FAKE_TOKEN)) == [*added]
    assert make_secrets.complete(folder, make_secrets.contents(FAKE_TOKEN)) == []

    assert {
        str(file): file.read_text() for file in _files(folder) if str(file) in before and file.name != "tokens"
    } == {name: content for name, content in before.items() if not name.endswith("tokens")}
    assert stat.S_IMODE((folder / LIVE["sealing_key"]).stat().st_mode) == 0o400
    assert SealedCommandOpener(folder / LIVE["sealing_key"], "production").recipient().key_id == "first"


def test_the_console_has_a_secret_for_links_and_a_token_of_its_own_which_is_added_to_the_others(folder: Path) -> None:
    (folder / "console_api_token").unlink()
    make_secrets.complete(folder, make_secrets.contents(FAKE_TOKEN))

    tokens = load_tokens(folder / LIVE["tokens"])
    own = tokens.find((folder / "console_api_token").read_text(), NOW)
    assert own is not None
    assert [one.token_id for one in tokens.tokens] == ["first", "console"]
    assert tokens.find(FAKE_TOKEN, NOW) is not None
    assert len(load_secrets(folder / LIVE["console_links"])) == 1
