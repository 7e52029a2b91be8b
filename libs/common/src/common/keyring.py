"""The key-encryption keys: a small interface that a key-management service would fit, and the file that does today."""

import json
import os
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.envelopes import UnsealableError
from common.settings import StartRefusedError

KEY_BYTES = 32
NONCE_BYTES = 12
OTHERS = 0o007

_MAX_FILE_BYTES = 1024 * 1024
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")  # shorter than a key in base64, so that a mistaken one is never shown


class KeyringError(StartRefusedError):
    """The keyring file cannot be used; the sentence names the file or a key's ID, never a key."""


class Wraps(Protocol):
    """Encrypts data keys under key-encryption keys that never leave it."""

    @property
    def current(self) -> str:
        """ID of the key that wraps now."""
        ...

    def wrap(self, data_key: bytes, key_id: str, associated: bytes) -> bytes:
        """Encrypt `data_key` under `key_id`, bound to `associated`; raises UnsealableError where that key is unknown."""
        ...

    def unwrap(self, wrapped: bytes, key_id: str, associated: bytes) -> bytes:
        """Undo `wrap`; raises UnsealableError for any other key, binding or byte."""
        ...


class Keyring:
    """Wraps data keys by AES-256-GCM under keys held in memory; the wrapped form is nonce, ciphertext and tag."""

    def __init__(self, current: str, keys: Mapping[str, bytes]) -> None:
        """`keys`: 32 bytes each, by ID; `current` is one of them (KeyringError otherwise)."""
        for key_id, key in keys.items():
            if not _KEY_ID.fullmatch(key_id):
                raise KeyringError("a key's ID in the keyring is not 1-40 of A-Za-z0-9._-")
            if len(key) != KEY_BYTES:
                raise KeyringError(f"key {key_id} of the keyring has not {KEY_BYTES} bytes")
        if current not in keys:
            raise KeyringError("the keyring's current key is not among its keys")
        self._current = current
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}

    @property
    def current(self) -> str:
        return self._current

    @property
    def key_ids(self) -> frozenset[str]:
        return frozenset(self._keys)

    def wrap(self, data_key: bytes, key_id: str, associated: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher(key_id).encrypt(nonce, data_key, associated)

    def unwrap(self, wrapped: bytes, key_id: str, associated: bytes) -> bytes:
        try:
            return self._cipher(key_id).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], associated)
        except (InvalidTag, ValueError):
            raise UnsealableError from None

    def _cipher(self, key_id: str) -> AESGCM:
        try:
            return self._keys[key_id]
        except KeyError:
            raise UnsealableError from None


def load_keyring(path: Path) -> Keyring:
    """Read `{"current": "<id>", "keys": {"<id>": "<base64 of 32 bytes>"}}`; raises KeyringError with one sentence."""
    found = _parse(path, _read_private(path))
    current, keys = found.get("current"), found.get("keys")
    if not isinstance(current, str) or not isinstance(keys, dict) or not keys:
        raise KeyringError(f"the keyring {path} does not hold current and keys")
    return Keyring(current, {key_id: _key(text) for key_id, text in keys.items()})


def create_keyring(path: Path, key_id: str) -> None:
    """Write a keyring of one new random key, readable by its owner only; raises FileExistsError, never replaces one."""
    key = secrets.token_bytes(KEY_BYTES)
    Keyring(key_id, {key_id: key})
    content = {"current": key_id, "keys": {key_id: b64encode(key).decode()}}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - opened with its mode, so never readable by others
        json.dump(content, file)
        file.flush()
        os.fsync(descriptor)


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & OTHERS:
                raise KeyringError(f"the keyring {path} is open to others: take their rights away (chmod o-rwx)")
            return file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise KeyringError(f"the keyring {path} cannot be read: {error.strerror}") from None


def _parse(path: Path, content: bytes) -> dict[str, object]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise KeyringError(f"the keyring {path} is not a JSON object")
    return found


def _key(text: object) -> bytes:
    try:
        return b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        return b""  # which Keyring refuses by the key's ID
