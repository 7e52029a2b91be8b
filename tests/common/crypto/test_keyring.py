import errno
import json
import os
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from common import atomic_files, watched_file
from common.crypto.envelopes import UnsealableError
from common.crypto.key_files import KeyFileError, Keys, change_keys, create_keys
from common.crypto.keyring import Keyring, LiveKeyring, load_keyring

from tests.support.fakes import MonotonicClock

KEY = b64encode(bytes(range(32))).decode()
OTHER = b64encode(bytes(32)).decode()


def written(folder: Path, content: object, mode: int = 0o640) -> Path:
    path = folder / "keyring.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(KeyFileError) as caught:
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
    assert "accessible to others" in refusal(written(tmp_path, {"current": "a", "keys": {"a": KEY}}, mode))


def test_a_missing_keyring_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    assert refusal(path) == f"the key file {path} cannot be read: No such file or directory"
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
    assert str(tmp_path) in refusal(written(tmp_path, content))


@pytest.mark.parametrize("key", ["", KEY[:40], KEY + KEY, KEY[:-1], f" {KEY}", "no base64!", "ключ", 7, None])
def test_a_key_of_the_wrong_size_is_named_by_its_id(tmp_path: Path, key: object) -> None:
    assert "key bad does not have 32 bytes" in refusal(
        written(tmp_path, {"current": "a", "keys": {"a": KEY, "bad": key}})
    )


def test_a_new_keyring_is_for_its_owner_only_and_never_replaces_one(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    mask = os.umask(0)
    try:
        create_keys(path, "local")
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_keyring(path).current == "local"
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        create_keys(path, "local")
    assert path.read_bytes() == before


def test_two_new_keyrings_share_no_key(tmp_path: Path) -> None:
    create_keys(tmp_path / "one", "local")
    create_keys(tmp_path / "two", "local")
    wrapped = load_keyring(tmp_path / "one").wrap(b"data key", "local", b"")
    with pytest.raises(UnsealableError):
        load_keyring(tmp_path / "two").unwrap(wrapped, "local", b"")


def test_a_keyring_does_not_show_its_keys() -> None:
    keyring = Keyring("a", {"a": bytes(range(32))})
    assert KEY not in repr(keyring)
    assert repr(bytes(range(32))) not in repr(vars(keyring))


class Live:
    """A keyring as a running process has it, and its file."""

    def __init__(self, folder: Path) -> None:
        self.path = written(folder, {"current": "a", "keys": {"a": KEY}})
        self.clock = MonotonicClock()
        self.keyring = LiveKeyring(self.path, self.clock)

    def rotate(self) -> None:
        change_keys(self.path, lambda keys: keys.with_new("b").using("b"))

    def later(self) -> LiveKeyring:
        self.clock.now += 1
        return self.keyring


@pytest.fixture
def live(tmp_path: Path) -> Live:
    return Live(tmp_path)


def test_a_running_process_uses_a_new_key_within_a_second(live: Live) -> None:
    live.rotate()
    assert live.keyring.current == "a", "not even asked"
    live.clock.now = 0.9
    assert live.keyring.current == "a"
    live.clock.now = 1.0
    assert live.keyring.current == "b"


def test_a_key_that_was_not_there_is_looked_for_at_once(live: Live) -> None:
    live.rotate()
    wrapped = load_keyring(live.path).wrap(b"data key", "b", b"")
    assert live.keyring.unwrap(wrapped, "b", b"") == b"data key"
    with pytest.raises(UnsealableError):
        live.keyring.unwrap(wrapped, "c", b"")


def test_a_key_that_was_dropped_opens_nothing_any_more(live: Live) -> None:
    wrapped = live.keyring.wrap(b"data key", "a", b"")
    live.rotate()
    change_keys(live.path, lambda keys: keys.without("a"))
    with pytest.raises(UnsealableError):
        live.later().unwrap(wrapped, "a", b"")


BREAK: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "shortened": lambda path: path.write_text(path.read_text()[:40]),
    "emptied": lambda path: path.write_text(""),
    "accessible to others": lambda path: path.chmod(0o644),
    "with a short key": lambda path: path.write_text(json.dumps({"current": "a", "keys": {"a": KEY, "b": KEY[:20]}})),
    "without its current key": lambda path: path.write_text(json.dumps({"current": "c", "keys": {"a": KEY}})),
}


@pytest.fixture
def reasons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged as an error."""
    reasons: list[str] = []
    monkeypatch.setattr(watched_file.log, "error", lambda _event, reason: reasons.append(reason))
    return reasons


@pytest.mark.parametrize("fault", BREAK)
def test_a_file_that_breaks_leaves_the_former_keys_and_is_logged_once(
    live: Live, fault: str, reasons: list[str]
) -> None:
    wrapped = live.keyring.wrap(b"data key", "a", b"")
    BREAK[fault](live.path)

    for _ in range(3):
        assert live.later().unwrap(wrapped, "a", b"") == b"data key"
        assert live.keyring.current == "a"

    (reason,) = reasons
    assert str(live.path) in reason
    assert KEY[:10] not in reason
    live.path.unlink(missing_ok=True)
    written(live.path.parent, {"current": "b", "keys": {"a": KEY, "b": OTHER}})
    assert live.later().current == "b"


def test_a_file_that_is_broken_in_two_ways_is_logged_twice(live: Live, reasons: list[str]) -> None:
    live.path.write_text("")
    live.later().current  # noqa: B018 - looks
    live.path.write_text("{}")
    live.later().current  # noqa: B018 - looks
    assert ["is not a JSON object" in reasons[0], "does not hold" in reasons[1]] == [True, True]


def test_a_changed_file_keeps_its_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = written(tmp_path, {"current": "a", "keys": {"a": KEY}}, 0o440)
    (tmp_path / ".keyring.json.new").write_text("of somebody who was killed")

    keys = change_keys(path, lambda keys: keys.with_new("b"))

    assert (keys.current, set(keys.by_id), len(keys.by_id["b"])) == ("a", {"a", "b"}, 32)
    assert path.stat().st_mode & 0o777 == 0o440
    assert [one.name for one in tmp_path.iterdir()] == ["keyring.json"]


def test_a_link_to_a_keyring_stays_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(written(tmp_path, {"current": "a", "keys": {"a": KEY}}))
    change_keys(link, lambda keys: keys.with_new("b"))
    assert link.is_symlink()
    assert load_keyring(link).key_ids == {"a", "b"}


def test_two_who_change_a_keyring_at_once_lose_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, {"current": "a", "keys": {"a": KEY}})

    def add(number: int) -> None:
        change_keys(path, lambda keys: keys.with_new(f"new-{number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert load_keyring(path).key_ids == {"a", *(f"new-{number}" for number in range(8))}


def test_a_change_that_waits_too_long_for_another_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, {"current": "a", "keys": {"a": KEY}})
    monkeypatch.setattr(atomic_files, "LOCK_DEADLINE", 0.05)
    with atomic_files.locked(path), pytest.raises(atomic_files.FileError, match="being changed by another command"):
        change_keys(path, lambda keys: keys.with_new("b"))


@pytest.mark.parametrize(
    ("code", "sentence"),
    [("EBUSY", "mount point"), ("EXDEV", "mount point"), ("EROFS", "Read-only"), ("ENOSPC", "No space")],
)
def test_a_file_that_cannot_be_replaced_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, sentence: str
) -> None:
    path = written(tmp_path, {"current": "a", "keys": {"a": KEY}})
    number = getattr(errno, code)

    def refuse(*_: object) -> Path:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(atomic_files.FileError, match=sentence) as caught:
        change_keys(path, lambda keys: keys.with_new("b"))
    assert str(path) in str(caught.value)
    assert load_keyring(path).key_ids == {"a"}
    assert [one.name for one in tmp_path.iterdir()] == ["keyring.json"]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda keys: keys.with_new("a"), "exists already"),
        (lambda keys: keys.with_new("a b"), "not 1-40"),
        (lambda keys: keys.using("b"), "no key of that ID"),
        (lambda keys: keys.without("b"), "no key of that ID"),
        (lambda keys: keys.without("a"), "current"),
    ],
)
def test_what_cannot_be_done_to_a_keyring_is_refused_in_a_sentence(
    tmp_path: Path, edit: Callable[[Keys], Keys], sentence: str
) -> None:
    path = written(tmp_path, {"current": "a", "keys": {"a": KEY}})
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match=sentence):
        change_keys(path, edit)
    assert path.read_bytes() == before
