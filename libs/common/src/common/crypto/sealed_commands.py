"""Seals the key in a command, so that only the connector can read it. Anybody may import this: it opens nothing.

HPKE (RFC 9180), base mode, single shot. What binds a sealed key to its command is HPKE's `info`.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

FORMAT: Final = "grafient.sealed-command.v1"
"""First part of what a sealed key is bound to."""
VERSION: Final = "v1"
"""First part of the sealed text, `v1.<key ID>.<encapsulated key>.<ciphertext>`."""
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
ENCAPSULATED_BYTES = 32


@dataclass(frozen=True, slots=True)
class SealingKey:
    """The connector's public key, as `GET /v1/sealing-key` returns it."""

    key_id: str
    """1-40 of `A-Za-z0-9._-`."""
    public_key: bytes
    """X25519, 32 bytes."""

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "SealingKey":
        """The key in an answer of the route; raises KeyError, ValueError where it is none."""
        return cls(answer["key_id"], decoded(answer["public_key"]))


def seal(key: str, recipient: SealingKey, *, environment: str, account_id: str, command_id: str) -> str:
    """Seal `key` for one command of one account: it opens for no other, and in no other environment.

    Raises ValueError where the recipient's key is no public key or a text cannot be encoded as UTF-8.
    """
    bound = binding(environment, account_id, command_id)
    public_key = X25519PublicKey.from_public_bytes(recipient.public_key)
    sealed = SUITE.encrypt(_utf8(key), public_key, info=bound)
    parts = (sealed[:ENCAPSULATED_BYTES], sealed[ENCAPSULATED_BYTES:])
    return ".".join((VERSION, recipient.key_id, *map(encoded, parts)))


def key_id_of(sealed: str) -> str | None:
    """The ID of the key that `sealed` is sealed to; None where it does not have the form of `seal`."""
    version, _, rest = sealed.partition(".")
    parts = rest.rsplit(".", 2)
    return parts[0] if version == VERSION and len(parts) == len(("key ID", "encapsulated key", "ciphertext")) else None


def binding(environment: str, account_id: str, command_id: str) -> bytes:
    """Join what a sealed key is bound to, each with its length, so that no two commands are equal."""
    return b"".join(map(_prefixed, (FORMAT, environment, account_id, command_id)))


def encoded(data: bytes) -> str:
    """Base64url without padding (RFC 4648, section 5)."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """Undo `encoded`; raises ValueError for any other encoding of the same bytes."""
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encoded(data) != text:
        raise ValueError("is not base64url without padding")
    return data


def _prefixed(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "big") + data


def _utf8(key: str) -> bytes:
    data = key.encode(errors="replace")
    if data.decode() != key:  # encode's own error would carry the key
        raise ValueError("the key is not valid Unicode")
    return data
