"""Each check finds what is wrong, and names the next step."""

import socket
import sys
from pathlib import Path

import pytest
from connector.settings import ConnectorSettings
from grafient.doctor import checks
from grafient.doctor.checks import disk, embedded_stack, memory, port, python, settings_of
from grafient.local import jars
from ledger.settings import LedgerSettings


def test_a_python_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not python().problem
    monkeypatch.setattr(sys, "version_info", _Old((3, 9)))

    assert (python().problem, "install 3.11" in python().detail) == (True, True)


class _Old(tuple[int, ...]):
    __slots__ = ()
    major, minor = 3, 9


def test_a_lack_of_disk_or_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not disk(tmp_path).problem
    monkeypatch.setattr(checks, "DISK", 10**18)
    monkeypatch.setattr(checks, "available_memory", lambda: 10**8)

    assert "TMPDIR" in disk(tmp_path).detail
    assert (memory().problem, memory().detail) == (
        True,
        "0.1 GB available: end other programs, 1.5 GB are needed",
    )


def test_a_port_in_use_is_a_problem_until_it_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        number = one.getsockname()[1]
        taken = port(number, "connector")

    assert (taken.problem, "needed by connector" in taken.detail) == (True, True)
    assert not port(number, "connector").problem


def test_the_embedded_stack_is_whole() -> None:
    assert {one.name: one.problem for one in embedded_stack()} == dict.fromkeys(
        (*checks.PARTS.values(), "Kafka"), False
    )


def test_a_missing_part_and_a_missing_jar_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jars, "cache_dir", lambda: tmp_path)
    (kafka,) = [one for one in embedded_stack() if one.problem]
    assert (kafka.name, "run `make install`" in kafka.detail) == ("Kafka", True)

    monkeypatch.setattr(checks, "find_spec", lambda name: None if name == "jgo" else name)
    (client,) = [one for one in embedded_stack() if one.problem]
    assert (client.name, client.detail) == ("Maven client", "not installed: run `make install`")


def test_an_installation_without_the_embedded_stack_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda _name: None)

    assert [one.problem for one in embedded_stack()] == [False]


LEDGER = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "DATABASE_URL": "postgresql+psycopg://ledger:obviously-fake@db/grafient",
    "API_TOKENS_FILE": "/run/secrets/tokens",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    for name in (*LEDGER, "KEYRING_FILE", "SEALING_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.usefixtures("environment")
def test_where_no_setting_is_set_nothing_has_to_be_fixed() -> None:
    assert not settings_of("connector", ConnectorSettings).problem


def test_missing_and_wrong_settings_are_named_without_their_values(environment: pytest.MonkeyPatch) -> None:
    for name, value in LEDGER.items():
        environment.setenv(name, value)
    assert settings_of("ledger", LedgerSettings).detail == "can be used"

    environment.setenv("DATABASE_URL", "mysql://ledger:obviously-fake@db/grafient")
    found = settings_of("connector", ConnectorSettings)

    assert found.problem
    assert {one.split(":")[0] for one in found.detail.split("; ")} == {
        "DATABASE_URL",
        "KEYRING_FILE",
        "SEALING_KEY_FILE",
    }
    assert "obviously-fake" not in found.detail
