"""Envelope encryption of credentials: a random data key per stored version, wrapped by a key-encryption key.

Opens secrets: only connector.app, syncer.app and the key commands import it; others get a `Seals` or an `Opens`.
"""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.crypto.envelopes import Binding, Envelope, UnsealableError
from common.crypto.key_files import KEY_BYTES
from common.crypto.keyring import NONCE_BYTES, Wraps

FORMAT = "grafient.sealed.v1"

_FIELDS = frozenset({"format", "key_id", "wrapped_key", "nonce", "ciphertext"})


class Sealer:
    """Seals credentials of one environment under the keyring's current key."""

    def __init__(self, keyring: Wraps, environment: str) -> None:
        self._keyring = keyring
        self._environment = environment

    def seal(self, credential: str, binding: Binding) -> Envelope:
        """Encrypt under a data key of its own: two envelopes of the same credential have nothing in common."""
        bound = _bound(self._environment, binding)
        data_key, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
        ciphertext = AESGCM(data_key).encrypt(nonce, credential.encode(), bound)
        return _envelope(_wrapped(self._keyring, data_key, bound), nonce=_text(nonce), ciphertext=_text(ciphertext))


class Opener:
    """Opens what a Sealer of the same environment sealed for the same row, as long as the keyring has its key."""

    def __init__(self, keyring: Wraps, environment: str) -> None:
        self._keyring = keyring
        self._environment = environment

    def open(self, envelope: Mapping[str, str], binding: Binding) -> str:
        """Decrypt; any failure is UnsealableError, without a cause."""
        bound = _bound(self._environment, binding)
        data_key = _data_key(self._keyring, envelope, bound)
        try:
            cipher = AESGCM(data_key)
            return cipher.decrypt(_bytes(envelope, "nonce"), _bytes(envelope, "ciphertext"), bound).decode()
        except (InvalidTag, ValueError):
            raise UnsealableError from None


class Rewrapper:
    """Moves envelopes of one environment to the keyring's current key; never sees a credential."""

    def __init__(self, keyring: Wraps, environment: str) -> None:
        self._keyring = keyring
        self._environment = environment

    def rewrap(self, envelope: Mapping[str, str], binding: Binding) -> Envelope:
        """Wrap the data key again; the ciphertext stays as it is. Raises UnsealableError where it does not unwrap."""
        bound = _bound(self._environment, binding)
        data_key = _data_key(self._keyring, envelope, bound)
        kept = {name: envelope[name] for name in ("nonce", "ciphertext")}
        return _envelope(_wrapped(self._keyring, data_key, bound), **kept)

    def check(self, envelope: Mapping[str, str], binding: Binding) -> None:
        """Unwrap the data key and forget it; raises UnsealableError where that is not possible."""
        _data_key(self._keyring, envelope, _bound(self._environment, binding))


def _bound(environment: str, binding: Binding) -> bytes:
    """Join what an envelope is bound to, each with its length, so that no two bindings are equal."""
    parts = (FORMAT, environment, binding.account_id, str(binding.integration_id), str(binding.credential_version))
    return b"".join(map(_prefixed, parts))


def _prefixed(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "big") + data


def _wrapped(keyring: Wraps, data_key: bytes, bound: bytes) -> dict[str, str]:
    key_id = keyring.current
    wrapped = keyring.wrap(data_key, key_id, bound + _prefixed(key_id))
    return {"key_id": key_id, "wrapped_key": _text(wrapped)}


def _envelope(wrapped: Mapping[str, str], **sealed: str) -> Envelope:
    return {"format": FORMAT, **wrapped, **sealed}


def _data_key(keyring: Wraps, envelope: Mapping[str, str], bound: bytes) -> bytes:
    if envelope.keys() != _FIELDS or envelope["format"] != FORMAT or not isinstance(envelope["key_id"], str):
        raise UnsealableError
    key_id = envelope["key_id"]
    try:
        associated = bound + _prefixed(key_id)
    except UnicodeEncodeError:
        raise UnsealableError from None
    return keyring.unwrap(_bytes(envelope, "wrapped_key"), key_id, associated)


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _bytes(envelope: Mapping[str, str], field: str) -> bytes:
    """Decode canonical base64 only: each envelope has one encoding."""
    try:
        text = envelope[field]
        data = b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise UnsealableError from None
    if _text(data) != text:
        raise UnsealableError
    return data
