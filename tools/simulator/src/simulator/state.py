"""The whole state of the simulator, in one object."""

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime

from simulator.faults import Faults
from simulator.teams import Key, Team, well_known_keys, well_known_teams

REMEMBERED_REQUESTS = 100_000


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SeenRequest:
    at: datetime
    team_id: str
    key: str
    """Its name, or the first digits of its hash; never the key."""
    first_day: date | None
    """None, like `last_day` and `grouped`, where the request was refused before its body was read."""
    last_day: date | None
    grouped: bool | None
    status: int | None
    """None: there was no answer."""

    def as_json(self) -> dict[str, object]:
        return {name: value.isoformat() if isinstance(value, date) else value for name, value in asdict(self).items()}


@dataclass(slots=True)
class State:
    seed: int
    delay_ms: int
    """Of each answer, unless the team or the fault has its own."""
    clock: Callable[[], datetime] = utc_now
    frozen_at: datetime | None = None
    faults: Faults = field(default_factory=Faults)
    requests: deque[SeenRequest] = field(default_factory=lambda: deque(maxlen=REMEMBERED_REQUESTS))
    keys: dict[str, Key] = field(default_factory=well_known_keys, repr=False)
    teams: dict[str, Team] = field(init=False)

    def __post_init__(self) -> None:
        self.teams = well_known_teams(self.seed)

    def now(self) -> datetime:
        """UTC: the time that the clock was set to, or else the current time."""
        return self.frozen_at or self.clock()
