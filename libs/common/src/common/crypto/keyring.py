"""Key-encryption keys: an interface for key-management services, and its implementation by a file."""

import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.crypto.envelopes import UnsealableError
from common.crypto.key_files import Keys, load_keys
from common.watched_file import WatchedFile

NONCE_BYTES = 12


class Wraps(Protocol):
    """Encrypts data keys under key-encryption keys that never leave the implementation."""

    @property
    def current(self) -> str:
        """ID of the key for new wraps."""
        ...

    def wrap(self, data_key: bytes, key_id: str, associated: bytes) -> bytes:
        """Encrypt `data_key` under `key_id`, bound to `associated`; raises UnsealableError for an unknown key."""
        ...

    def unwrap(self, wrapped: bytes, key_id: str, associated: bytes) -> bytes:
        """Undo `wrap`; raises UnsealableError for any other key, binding or byte."""
        ...


class Keyring:
    """Wraps data keys by AES-256-GCM under keys held in memory; the wrapped form is nonce, ciphertext and tag."""

    def __init__(self, current: str, keys: Mapping[str, bytes]) -> None:
        """`keys`: 32 bytes each, by ID; `current` is one of them (KeyFileError otherwise)."""
        checked = Keys(current, keys)
        self._current = checked.current
        self._keys = {key_id: AESGCM(key) for key_id, key in checked.by_id.items()}

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


class LiveKeyring:
    """The keyring in a file: a change takes effect within a second, and at once where an unknown key is needed.

    So keys rotate without a restart, and what another process wrapped under a new key can be unwrapped.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds; raises KeyFileError where the file is unusable."""
        self._file = WatchedFile(path, load_keyring, clock)

    @property
    def current(self) -> str:
        return self._file.content().current

    def wrap(self, data_key: bytes, key_id: str, associated: bytes) -> bytes:
        return self._with(key_id).wrap(data_key, key_id, associated)

    def unwrap(self, wrapped: bytes, key_id: str, associated: bytes) -> bytes:
        return self._with(key_id).unwrap(wrapped, key_id, associated)

    def _with(self, key_id: str) -> Keyring:
        keyring = self._file.content()
        return keyring if key_id in keyring.key_ids else self._file.check()


def load_keyring(path: Path) -> Keyring:
    """The keyring in a file of keys; raises KeyFileError."""
    keys = load_keys(path)
    return Keyring(keys.current, keys.by_id)
