"""What pages work with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from common.watched_file import WatchedFile

from console.live import Relay
from console.sessions import Sessions
from console.upstream import Upstream


class OnceOnly(Protocol):
    """Remembers what was used."""

    async def use(self, sha256: bytes, expires_at: datetime, *, forgotten: datetime) -> bool:
        """Whether this is the first use; what expired before `forgotten` need not be remembered."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the console, made in `app`."""

    connector: Upstream
    ledger: Upstream
    relay: Relay
    sessions: Sessions
    used_links: OnceOnly
    link_secrets: WatchedFile[tuple[bytes, ...]]
    clock: Callable[[], datetime]
    """The current instant (aware, UTC)."""
