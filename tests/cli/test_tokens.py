"""Operators make, list and revoke tokens, while services read the same file."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from common.http.tokens import Token, digest_of, load_tokens
from grafient.tokens import create

from tests.support.commands import Completed, invoke

COSTS = ("--scope", "costs:read")


def run(path: Path, *arguments: str) -> Completed:
    return invoke("tokens", *arguments, "--file", str(path))


def made(path: Path, *arguments: str) -> str:
    """The secret of a new token."""
    created = run(path, "create", *arguments)
    assert created.status == 0, created.stderr
    return created.stdout.strip()


def only(path: Path) -> Token:
    (token,) = load_tokens(path).tokens
    return token


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def test_a_token_is_shown_once_and_only_its_hash_is_kept(path: Path) -> None:
    result = run(path, "create", "--id", "web", *COSTS)

    secret = result.stdout.strip()
    assert secret.startswith("grafient_")
    assert only(path).model_dump() == {
        "token_id": "web",
        "sha256": digest_of(secret),
        "scopes": ("costs:read",),
        "account_ids": None,
        "expires_at": None,
    }
    assert result.stderr == "created token web: costs:read, for every account, until it is revoked\n"
    assert secret[9:] not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_token_is_bound_to_what_the_options_name(path: Path) -> None:
    made(path, "--scope", "costs:read", "--scope", "integrations:read", "--account", "a", "--account", "b")

    assert only(path).scopes == ("integrations:read", "costs:read")
    assert only(path).account_ids == ("a", "b")


@pytest.mark.parametrize(
    ("option", "value", "least", "most"),
    [
        ("--expires-in", "90d", timedelta(days=89), timedelta(days=90)),
        ("--expires-in", "30m", timedelta(minutes=25), timedelta(minutes=30)),
        ("--expires-at", (now() + timedelta(hours=5)).isoformat(), timedelta(hours=4), timedelta(hours=5)),
        ("--expires-at", f"{now() + timedelta(days=2):%Y-%m-%d}", timedelta(days=1), timedelta(days=2)),
    ],
)
def test_a_token_expires_at_the_given_time(
    path: Path, option: str, value: str, least: timedelta, most: timedelta
) -> None:
    secret = made(path, *COSTS, option, value)

    expires_at = only(path).expires_at
    assert expires_at is not None
    assert least <= expires_at - now() <= most
    assert load_tokens(path).find(secret, expires_at) is None


def test_two_live_tokens_are_one_rotation(path: Path) -> None:
    old, new = made(path, "--id", "web-1", *COSTS), made(path, "--id", "web-2", *COSTS)
    assert all(load_tokens(path).find(secret, now()) for secret in (old, new))

    assert run(path, "revoke", "web-1").status == 0

    assert load_tokens(path).find(old, now()) is None
    assert load_tokens(path).find(new, now())


def test_tokens_are_listed_for_people_and_programs_and_never_their_hash(path: Path) -> None:
    secret = made(path, "--id", "web", *COSTS, "--account", "acme", "--expires-at", "2199-12-31T06:00:00Z")
    expired = {"token_id": "old", "sha256": digest_of("x"), "scopes": [], "expires_at": "2020-01-01T00:00:00Z"}
    path.write_text(json.dumps({"tokens": [json.loads(only(path).model_dump_json()), expired]}))

    table, listed = run(path, "list").stdout, run(path, "list", "--json").json()

    assert listed[0] == {
        "token_id": "web",
        "scopes": ["costs:read"],
        "accounts": ["acme"],
        "expires_at": "2199-12-31T06:00:00.000000Z",
        "state": "live",
        "hash_begins": digest_of(secret)[:8],
    }
    assert (listed[1]["token_id"], listed[1]["state"], listed[1]["accounts"]) == ("old", "expired", None)
    assert all(word in table for word in ("web", "acme", "live", "2199-12-31", "old", "expired", "all"))
    assert digest_of(secret)[:9] not in table + str(listed)


def test_programs_get_a_new_token_with_all_that_is_known_of_it(path: Path) -> None:
    result = run(path, "create", *COSTS, "--json").json()

    assert load_tokens(path).find(result["token"], now()) == only(path)
    assert (result["token_id"], result["scopes"], result["expires_at"]) == (only(path).token_id, ["costs:read"], None)


def test_a_dry_run_makes_and_revokes_nothing(path: Path) -> None:
    result = run(path, "create", "--id", "web", *COSTS, "--dry-run")
    assert (result.status, result.stdout, path.exists()) == (0, "", False)
    assert "would create token web" in result.stderr

    made(path, "--id", "web", *COSTS)
    assert "would revoke web" in run(path, "revoke", "web", "--dry-run").stderr
    assert [token.token_id for token in load_tokens(path).tokens] == ["web"]
    assert run(path, "revoke", "other", "--dry-run").status == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("create", "--id", "web", *COSTS), "there is a token web already"),
        (("revoke", "other"), "there is no token of that ID"),
    ],
)
def test_what_cannot_be_done_is_named_and_changes_nothing(
    path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    made(path, "--id", "web", *COSTS)
    before = path.read_bytes()

    result = run(path, *arguments)

    assert (result.status, result.stdout, path.read_bytes()) == (2, "", before)
    assert sentence in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("create",),
        ("create", "--scope", "everything"),
        ("create", *COSTS, "--id", "two words"),
        ("create", *COSTS, "--account", "a/b"),
        ("create", *COSTS, "--expires-in", "soon"),
        ("create", *COSTS, "--expires-in", "0d"),
        ("create", *COSTS, "--expires-at", "2020-01-01"),
        ("create", *COSTS, "--expires-in", "1d", "--expires-at", "2199-01-01"),
        ("revoke",),
    ],
)
def test_wrong_arguments_have_a_status_of_their_own(path: Path, arguments: tuple[str, ...]) -> None:
    result = run(path, *arguments)

    assert (result.status, result.stdout, path.exists()) == (2, "", False)


@pytest.mark.parametrize("command", [("list",), ("revoke", "web"), ("create", *COSTS)])
@pytest.mark.parametrize(("content", "mode"), [(b"{", 0o600), (b'{"tokens": []}', 0o602)])
def test_a_file_that_no_service_would_take_is_not_touched(
    path: Path, command: tuple[str, ...], content: bytes, mode: int
) -> None:
    path.write_bytes(content)
    path.chmod(mode)

    result = run(path, *command)

    assert (result.status, path.read_bytes()) == (2, content)
    assert str(path) in result.stderr


@pytest.mark.parametrize("command", [("list",), ("revoke", "web")])
def test_a_missing_file_is_named(path: Path, command: tuple[str, ...]) -> None:
    result = run(path, *command)

    assert result.status == 2
    assert "No such file" in result.stderr


def test_an_empty_file_that_exists_keeps_its_owner_and_rights(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 10001, 10001)
    before = path.stat()

    made(path, *COSTS)

    after = path.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


def test_no_token_is_lost_when_many_are_made_at_once(path: Path) -> None:
    names = {f"token-{one}" for one in range(16)}

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: create(file=path, scope=["costs:read"], token_id=name), names))

    assert {token.token_id for token in load_tokens(path).tokens} == names


def test_the_file_is_taken_from_the_environment(path: Path) -> None:
    result = invoke("tokens", "create", *COSTS, env={"API_TOKENS_FILE": str(path)})

    assert (result.status, len(load_tokens(path).tokens)) == (0, 1)
