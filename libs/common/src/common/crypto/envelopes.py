"""What a service may know of sealed credentials: the row that binds one, and the capabilities that it gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

Envelope = dict[str, str]
"""A sealed credential as JSON: strings only; `format` and `key_id` name how and by which key it was sealed."""


class UnsealableError(Exception):
    """The envelope does not open here: damaged, moved, made elsewhere, or its key is missing. Carries no detail."""


@dataclass(frozen=True, slots=True)
class Binding:
    """The row of an envelope: it opens for no other."""

    account_id: str
    integration_id: UUID
    credential_version: int


class Seals(Protocol):
    """Can seal a credential, and cannot open one."""

    def seal(self, credential: str, binding: Binding) -> Envelope: ...


class Opens(Protocol):
    """Can open a credential."""

    def open(self, envelope: Mapping[str, str], binding: Binding) -> str:
        """Raise UnsealableError where the envelope was not sealed for `binding`."""
        ...


class Rewraps(Protocol):
    """Can move an envelope to the current key-encryption key, and sees no credential."""

    def rewrap(self, envelope: Mapping[str, str], binding: Binding) -> Envelope:
        """Raise UnsealableError where the envelope was not sealed for `binding`."""
        ...

    def check(self, envelope: Mapping[str, str], binding: Binding) -> None:
        """Raise UnsealableError where the envelope could not be moved."""
        ...


class OpensCommands(Protocol):
    """Can open the key that a command carries."""

    def open(self, sealed: str, *, account_id: str, command_id: str) -> str:
        """Raise UnsealableError where `sealed` was not sealed for this command of this account."""
        ...
