"""A file of keys: `{"current": "<id>", "keys": {"<id>": "<base64 of 32 bytes>"}}`, not accessible to others."""

import json
import os
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.atomic_files import locked, replace
from common.settings import StartRefusedError

KEY_BYTES = 32
OTHERS = 0o007

_MAX_FILE_BYTES = 1024 * 1024
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")  # shorter than a key in base64, so that a key in its place is never shown


class KeyFileError(StartRefusedError):
    """A file of keys or a change to it is invalid; the message names the file or the ID of a key, never a key."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys by ID, one of them current; raises KeyFileError for an invalid key or ID."""

    current: str
    by_id: Mapping[str, bytes] = field(repr=False)
    """32 bytes each."""

    def __post_init__(self) -> None:
        for key_id, key in self.by_id.items():
            if not _KEY_ID.fullmatch(key_id):
                raise KeyFileError("a key's ID is not 1-40 of A-Za-z0-9._-")
            if len(key) != KEY_BYTES:
                raise KeyFileError(f"key {key_id} does not have {KEY_BYTES} bytes")
        if self.current not in self.by_id:
            raise KeyFileError("the current key is not among the keys")

    def with_new(self, key_id: str) -> "Keys":
        """With a new random key, which is not current."""
        if key_id in self.by_id:
            raise KeyFileError(f"key {key_id} exists already: choose another ID")
        return Keys(self.current, {**self.by_id, key_id: secrets.token_bytes(KEY_BYTES)})

    def using(self, key_id: str) -> "Keys":
        """With another key as the current one."""
        return Keys(self._known(key_id), self.by_id)

    def without(self, key_id: str) -> "Keys":
        """Without a key, which must not be the current one."""
        if self._known(key_id) == self.current:
            raise KeyFileError(f"key {key_id} is the current one: make another one current first")
        return Keys(self.current, {other: key for other, key in self.by_id.items() if other != key_id})

    def _known(self, key_id: str) -> str:
        if key_id not in self.by_id:
            raise KeyFileError(f"there is no key of that ID, only {', '.join(self.by_id)}")
        return key_id


def load_keys(path: Path) -> Keys:
    """The keys in `path`; raises KeyFileError."""
    found = _parse(path, _read_private(path))
    current, keys = found.get("current"), found.get("keys")
    if not isinstance(current, str) or not isinstance(keys, dict) or not keys:
        raise KeyFileError(f"the key file {path} does not hold current and keys")
    try:
        return Keys(current, {key_id: _key(text) for key_id, text in keys.items()})
    except KeyFileError as error:
        raise KeyFileError(f"the key file {path}: {error}") from None


def create_keys(path: Path, key_id: str) -> None:
    """Write a file of one new random key, readable by its owner only; raises FileExistsError, never replaces one."""
    content = _content(Keys(key_id, {key_id: secrets.token_bytes(KEY_BYTES)}))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - opened with its mode, so never readable by others
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def change_keys(path: Path, edit: Callable[[Keys], Keys]) -> Keys:
    """Replace the keys in `path` by what `edit` returns, under a lock; raises KeyFileError, FileError."""
    with locked(path):
        keys = edit(load_keys(path))
        replace(path, _content(keys))
        return keys


def _content(keys: Keys) -> bytes:
    texts = {key_id: b64encode(key).decode() for key_id, key in keys.by_id.items()}
    return json.dumps({"current": keys.current, "keys": texts}).encode()


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & OTHERS:
                raise KeyFileError(f"the key file {path} is accessible to others: run chmod o-rwx")
            return file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be read: {error.strerror}") from None


def _parse(path: Path, content: bytes) -> dict[str, object]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise KeyFileError(f"the key file {path} is not a JSON object")
    return found


def _key(text: object) -> bytes:
    try:
        return b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        return b""  # Keys rejects it with the ID of the key
