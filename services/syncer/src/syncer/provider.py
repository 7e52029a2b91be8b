"""The seam to whoever bills the teams. A provider is a folder that implements these protocols over a library of its own."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from common.rate_limits import Rate
from contract.messages import Cost
from contract.problems import Code

from syncer.domain import Days
from syncer.store import Credential

READING_DEADLINE = 120.0
"""Seconds that a reading takes at most, whatever number of calls it is made of."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer of the provider as it came, decompressed, and the days of its question, both included."""

    first_day: date
    last_day: date
    body: bytes

    @property
    def sha256(self) -> bytes:
        """Hash of `body`, by which anybody can check that a kept answer is the one that was read."""
        return hashlib.sha256(self.body).digest()


@dataclass(frozen=True, slots=True)
class Reading:
    """The costs of `first_day` to `last_day`, both included."""

    first_day: date
    last_day: date
    days: Mapping[date, tuple[Cost, ...]]
    """Sorted by label, one cost a label, never zero; every day of the range but `cut_days`, also the empty ones."""
    cut_days: frozenset[date]
    """Days that the provider does not list in full: not read."""
    parts: tuple[RawAnswer, ...]
    """The answers behind it, oldest first."""
    beyond_until: date | None = None
    """Last day that the provider refuses because it is too old; older than `first_day`."""


class ReadError(Exception):
    """The window could not be read. Of this class itself: the same reading never succeeds, other readings may."""

    def __init__(self, code: Code, retry_after: float | None = None, cause: str | None = None) -> None:
        """`retry_after`: seconds that the provider asks to wait; None where it does not say.

        `cause`: the kind of failure and the address, for operators; nothing of the answer, and no key.
        """
        super().__init__(code.value)
        self.code = code
        self.retry_after = retry_after
        self.cause = cause


class ReadRefusedError(ReadError):
    """The provider refuses the key: no more calls for the integration until a person acts."""


class ReadTransientError(ReadError):
    """The same reading may succeed later."""


class ReadOtherDaysError(ReadTransientError):
    """The provider answered about other days than requested: a fault of its own, or of how it is asked."""


class Provider(Protocol):
    """Reads costs."""

    async def read(self, team_id: str, credential: Credential, days: Days, *, grouped: bool = True) -> Reading:
        """The costs of `days`, by label or (not grouped) as one sum a day; raises ReadError within READING_DEADLINE."""


class Pacing(Protocol):
    """Limits the calls of a provider, and stops them while the provider itself fails."""

    @property
    def per_team(self) -> Rate:
        """Of the calls of one team, by all processes together."""

    def may_claim(self) -> int:
        """How many windows that need a call may be claimed now."""

    def note_claim(self) -> None:
        """A window that needs a call was claimed."""

    def wait(self) -> float:
        """Seconds until a call may be made; 0: now, and one is."""

    def record(self, team_id: str, error: ReadError | None, at: datetime) -> datetime | None:
        """Note how the reading observed at `at` ended; where it ends an outage, answers when the outage began."""
