import json
import os
from base64 import b64encode
from pathlib import Path

import pytest
from common.envelopes import UnsealableError
from common.keyring import Keyring, KeyringError, create_keyring, load_keyring

KEY = b64encode(bytes(range(32))).decode()


def written(folder: Path, content: object, mode: int = 0o640) -> Path:
    path = folder / "keyring.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(KeyringError) as caught:
        load_keyring(path)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_a_keyring_is_read_with_all_its_keys(tmp_path: Path) -> None:
    keyring = load_keyring(written(tmp_path, {"current": "b", "keys": {"a": KEY, "b": b64encode(bytes(32)).decode()}}))
    assert (keyring.current, keyring.key_ids) == ("b", frozenset({"a", "b"}))
    assert keyring.unwrap(keyring.wrap(b"data key", "a", b"bound"), "a", b"bound") == b"data key"


@pytest.mark.parametrize("mode", [0o644, 0o642, 0o641, 0o604, 0o777])
def test_a_keyring_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    assert "open to others" in refusal(written(tmp_path, {"current": "a", "keys": {"a": KEY}}, mode))


def test_a_missing_keyring_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    assert refusal(path) == f"the keyring {path} cannot be read: No such file or directory"
    assert "cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        KEY,
        "[" * 100_000,
        "null",
        "[]",
        "{}",
        {"current": "a"},
        {"keys": {"a": KEY}},
        {"current": "a", "keys": {}},
        {"current": "a", "keys": [KEY]},
        {"current": 1, "keys": {"a": KEY}},
        {"current": "b", "keys": {"a": KEY}},
        {"current": KEY, "keys": {KEY: KEY}},
        {"current": "a b", "keys": {"a b": KEY}},
    ],
)
def test_what_is_no_keyring_is_refused_without_showing_it(tmp_path: Path, content: object) -> None:
    assert "keyring" in refusal(written(tmp_path, content))


@pytest.mark.parametrize("key", ["", KEY[:40], KEY + KEY, KEY[:-1], f" {KEY}", "no base64!", "ключ", 7, None])
def test_a_key_of_the_wrong_size_is_named_by_its_id(tmp_path: Path, key: object) -> None:
    assert "key bad of" in refusal(written(tmp_path, {"current": "a", "keys": {"a": KEY, "bad": key}}))


def test_a_new_keyring_is_for_its_owner_only_and_never_replaces_one(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    mask = os.umask(0)
    try:
        create_keyring(path, "local")
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_keyring(path).current == "local"
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        create_keyring(path, "local")
    assert path.read_bytes() == before


def test_two_new_keyrings_share_no_key(tmp_path: Path) -> None:
    create_keyring(tmp_path / "one", "local")
    create_keyring(tmp_path / "two", "local")
    wrapped = load_keyring(tmp_path / "one").wrap(b"data key", "local", b"")
    with pytest.raises(UnsealableError):
        load_keyring(tmp_path / "two").unwrap(wrapped, "local", b"")


def test_a_keyring_does_not_show_its_keys() -> None:
    keyring = Keyring("a", {"a": bytes(range(32))})
    assert KEY not in repr(keyring)
    assert repr(bytes(range(32))) not in repr(vars(keyring))
