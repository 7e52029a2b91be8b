"""Signed links: how a product sends its customer in. The text that is signed is documented in docs/console.md."""

import base64
import hashlib
import hmac
import os
import re
import secrets as random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlencode

from common.settings import StartRefusedError

VERSION = "grafient.console.link.v1"
LONGEST = timedelta(minutes=15)
SKEW = timedelta(seconds=60)
"""By which the clock of a product may differ from ours."""
SHORTEST_SECRET = 32
"""Characters."""
_OTHERS = 0o007
_FORMS = {
    "account": re.compile(r"[A-Za-z0-9_.-]{1,64}"),
    "right": re.compile(r"view|manage"),
    "expires": re.compile(r"[0-9]{1,12}"),
    "nonce": re.compile(r"[A-Za-z0-9_-]{16,64}"),
    "signature": re.compile(r"[A-Za-z0-9_-]{43}"),
}
"""Of the parameters, in the order in which a link has them."""


class Right(StrEnum):
    """What a session may do."""

    VIEW = "view"
    MANAGE = "manage"


class Refusal(StrEnum):
    """Why a link opens nothing."""

    FORGED = "forged"
    EXPIRED = "expired"
    TOO_LONG = "too_long"
    USED = "used"


class LinkRefusedError(Exception):
    """The link opens nothing, for this reason."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class LinkSecretsError(StartRefusedError):
    """The file of secrets is unusable; the message names the file and the error, never a secret."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a link contains."""

    account_id: str
    right: Right
    expires_at: datetime
    """Whole seconds, UTC."""
    nonce: str
    """16-64 of `A-Za-z0-9_-`, another one for each link."""

    @property
    def text(self) -> bytes:
        """What is signed."""
        return f"{VERSION}\n{self.account_id}\n{self.right}\n{self._expires}\n{self.nonce}".encode()

    @property
    def digest(self) -> bytes:
        """What is kept of a link that was used."""
        return hashlib.sha256(self.text).digest()

    def query(self, secret: bytes) -> str:
        """The link's query string, signed with `secret`."""
        return urlencode(
            {
                "account": self.account_id,
                "right": self.right.value,
                "expires": self._expires,
                "nonce": self.nonce,
                "signature": _signature(self.text, secret),
            }
        )

    @property
    def _expires(self) -> str:
        return str(int(self.expires_at.timestamp()))


def new_link(account_id: str, right: Right, expires_at: datetime) -> Link:
    """A link that nobody has used."""
    return Link(account_id, right, expires_at, random.token_urlsafe(16))


def check(parameters: Mapping[str, str], secrets: Sequence[bytes], now: datetime) -> Link:
    """The link that `parameters` are; raises LinkRefusedError. Whether it was used is not known here."""
    if any(not form.fullmatch(parameters.get(name, "")) for name, form in _FORMS.items()):
        raise LinkRefusedError(Refusal.FORGED)
    expires_at = datetime.fromtimestamp(int(parameters["expires"]), UTC)
    link = Link(parameters["account"], Right(parameters["right"]), expires_at, parameters["nonce"])
    signatures = [_signature(link.text, secret) for secret in secrets]
    if not any(hmac.compare_digest(one, parameters["signature"]) for one in signatures):
        raise LinkRefusedError(Refusal.FORGED)
    if expires_at + SKEW < now:
        raise LinkRefusedError(Refusal.EXPIRED)
    if expires_at - SKEW - LONGEST > now:
        raise LinkRefusedError(Refusal.TOO_LONG)
    return link


def load_secrets(path: Path) -> tuple[bytes, ...]:
    """The secrets in `path`: one, or two while they are exchanged, the current one first; raises LinkSecretsError."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise LinkSecretsError(f"link secrets file {path}: others can read or write it: run chmod o-rwx")
            secrets = tuple(file.read(4096).split())
    except OSError as error:
        raise LinkSecretsError(f"link secrets file {path}: {error.strerror}") from None
    if len(secrets) not in (1, 2) or any(len(one) < SHORTEST_SECRET for one in secrets):
        raise LinkSecretsError(
            f"link secrets file {path}: needs one or two lines of {SHORTEST_SECRET} characters or more"
        )
    return secrets


def _signature(text: bytes, secret: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.digest(secret, text, "sha256")).rstrip(b"=").decode()
