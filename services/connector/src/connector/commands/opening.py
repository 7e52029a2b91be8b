"""The private side of sealed commands: the sealing keys in a file, and what opens with them.

Opens secrets: only connector.app imports it; others are handed `OpensCommands`.
"""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from common.crypto.envelopes import UnsealableError
from common.crypto.key_files import load_keys
from common.crypto.sealed_commands import SUITE, VERSION, SealingKey, binding, decoded
from common.watched_file import WatchedFile
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

_SEALED = re.compile(rf"{VERSION}\.([A-Za-z0-9._-]{{1,40}})\.([A-Za-z0-9_-]{{43}})\.([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class SealingKeys:
    """Private keys by ID; programs seal to the current one."""

    current: str
    by_id: Mapping[str, X25519PrivateKey]


class SealedCommandOpener:
    """Opens what was sealed for a command of the same environment to a key that the file still holds.

    A change of the file takes effect within a second, and at once for a key that is not known yet.
    """

    def __init__(self, path: Path, environment: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds; raises KeyFileError where the file is unusable."""
        self._file = WatchedFile(path, load_sealing_keys, clock)
        self._environment = environment

    def recipient(self) -> SealingKey:
        """The public key that programs seal to now."""
        keys = self._file.content()
        return SealingKey(keys.current, keys.by_id[keys.current].public_key().public_bytes_raw())

    def open(self, sealed: str, *, account_id: str, command_id: str) -> str:
        """Decrypt; any failure is UnsealableError, without a cause."""
        with suppress(InvalidTag, ValueError, KeyError):
            key_id, ciphertext = _parts(sealed)
            bound = binding(self._environment, account_id, command_id)
            return SUITE.decrypt(ciphertext, self._private_key(key_id), info=bound).decode()
        raise UnsealableError

    def _private_key(self, key_id: str) -> X25519PrivateKey:
        keys = self._file.content()
        return (keys if key_id in keys.by_id else self._file.check()).by_id[key_id]


def load_sealing_keys(path: Path) -> SealingKeys:
    """The sealing keys in a file of keys, as it is now; raises KeyFileError."""
    keys = load_keys(path)
    return SealingKeys(
        keys.current, {name: X25519PrivateKey.from_private_bytes(key) for name, key in keys.by_id.items()}
    )


def _parts(sealed: str) -> tuple[str, bytes]:
    """The key's ID, and encapsulated key and ciphertext joined; raises ValueError for what `seal` cannot write."""
    match = _SEALED.fullmatch(sealed)
    if match is None:
        raise ValueError
    key_id, *texts = match.groups()
    return key_id, b"".join(map(decoded, texts))
