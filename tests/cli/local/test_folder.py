"""A folder is used by one system at a time, and what a user was given for it stays valid after a restart."""

import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from common.errors import UserError
from common.http.tokens import load_tokens
from grafient.local.folder import PORTS, in_use, local_token, ports_of
from grafient.local.processes import free_ports, is_free

from tests.support.commands import invoke

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_second_system_names_the_process_that_uses_the_folder_and_changes_nothing(tmp_path: Path) -> None:
    with in_use(tmp_path):
        local_token(tmp_path, keep=True)
        ports_of(tmp_path, None)
        before = content(tmp_path)

        second = invoke("up", "--json", "--data", str(tmp_path))

        assert second.json(status=1)["detail"] == f"{tmp_path} is in use by process {os.getpid()}"
        assert content(tmp_path) == before


def test_a_folder_can_be_used_again_after_a_kill(tmp_path: Path) -> None:
    (tmp_path / "up.lock").write_text("4194304")

    with in_use(tmp_path):
        assert (tmp_path / "up.lock").read_text() == str(os.getpid())


def test_a_restart_has_the_ports_of_the_start_before(tmp_path: Path) -> None:
    assert ports_of(tmp_path, None) == ports_of(tmp_path, None)


def test_ports_follow_each_other_from_the_given_one_on_and_are_kept(tmp_path: Path) -> None:
    first = _first_of_free_ones()

    ports = ports_of(tmp_path, first)

    assert ports == dict(zip(PORTS, range(first, first + len(PORTS)), strict=True))
    assert ports_of(tmp_path, None) == ports


def _first_of_free_ones() -> int:
    """A port that is free, as are those behind it: other tests take ports meanwhile."""
    while True:
        (first,) = free_ports(1)
        if all(is_free(first + number) for number in range(len(PORTS))):
            return first


def test_a_port_that_another_program_has_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(UserError, match=f"port {taken}, for connector, is in use: .*--port"):
            ports_of(tmp_path, taken)

    assert content(tmp_path) == {}


def test_a_restart_keeps_every_token_and_the_one_that_was_printed(tmp_path: Path) -> None:
    printed, file = local_token(tmp_path, keep=True), tmp_path / "tokens.json"
    created = invoke("tokens", "create", "--id", "web", "--scope", "costs:read", "--file", str(file)).stdout.strip()
    before = content(tmp_path)

    assert local_token(tmp_path, keep=True) == printed

    assert content(tmp_path) == before
    found = [load_tokens(file).find(secret, NOW) for secret in (printed, created)]
    assert [token and token.token_id for token in found] == ["local", "web"]
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


def test_where_nothing_is_kept_the_token_is_in_no_file(tmp_path: Path) -> None:
    token = local_token(tmp_path, keep=False)

    assert [name for name, text in content(tmp_path).items() if token.encode() in text] == []
    assert local_token(tmp_path, keep=False) != token


def test_a_revoked_token_is_not_brought_back(tmp_path: Path) -> None:
    printed, file = local_token(tmp_path, keep=True), tmp_path / "tokens.json"
    invoke("tokens", "revoke", "local", "--file", str(file))

    renewed = local_token(tmp_path, keep=True)

    assert load_tokens(file).find(printed, NOW) is None
    assert load_tokens(file).find(renewed, NOW)
