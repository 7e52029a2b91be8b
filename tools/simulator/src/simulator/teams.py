"""Teams and their keys, and the well-known ones that exist from the start."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256

from simulator.costs import costs, part
from simulator.edits import Edit
from simulator.usage_json import Shape

DEMO_TEAM = "11111111-1111-4111-8111-111111111111"
SECOND_TEAM = "22222222-2222-4222-8222-222222222222"
EMPTY_TEAM = "33333333-3333-4333-8333-333333333333"
"""A team without any costs."""
LATE_TEAM = "44444444-4444-4444-8444-444444444444"
"""Its days are complete three days after their end."""
PROTOTYPE_TEAM = "55555555-5555-4555-8555-555555555555"
"""The one whose key `grafient demo` revokes."""
UNKNOWN_TEAM = "99999999-9999-4999-8999-999999999999"
"""A well-formed Team ID without a team: 404."""

DEMO_KEY = "fake-management-key-of-the-demo-team"
SECOND_KEY = "fake-management-key-of-the-second-team"
EMPTY_KEY = "fake-management-key-of-the-empty-team"
LATE_KEY = "fake-management-key-of-the-late-team"
PROTOTYPE_KEY = "fake-management-key-of-the-prototype-team"
PROTOTYPE_NEXT_KEY = "fake-management-key-that-replaces-it"
NO_SCOPE_KEY = "fake-management-key-without-billing-scope"
"""Of the demo team, without Billing: Read: 403."""
REVOKED_KEY = "fake-management-key-that-was-revoked"
"""Of the demo team: 401."""
INFERENCE_KEY = "xai-fake-inference-key-for-chat-completions"
"""Not a management key, so the endpoint does not know it: 401."""

HISTORY_DAYS = 90
"""Today included. For earlier days the answer is zeros that are false."""
DAY_HOURS = 24


@dataclass(slots=True)
class Key:
    name: str
    team_id: str
    scope: bool = True
    """Billing: Read."""
    revoked: bool = False


@dataclass(slots=True)
class Team:
    team_id: str
    seed: int
    spends: bool = True
    """False: no costs on any day."""
    late_hours: int | None = 6
    """Hours after its end until a day is complete; None: every day is complete from its first instant on."""
    delay_ms: int | None = None
    """Of each answer; None: the simulator's own."""
    doubled_labels: frozenset[str] = frozenset({"grok-code-fast-1"})
    """Labels that are answered as two series."""
    shapes: frozenset[Shape] = frozenset()
    edits: list[Edit] = field(default_factory=list)

    def costs_on(self, day: date, now: datetime) -> Mapping[str, Decimal]:
        """US dollars per label of the UTC day as the endpoint knows them at `now`; zeros may be among them."""
        if not now.date() - timedelta(days=HISTORY_DAYS) < day <= now.date():
            return {}
        found: Mapping[str, Decimal] = self._arrived(day, now) if self.spends else {}
        for edit in self.edits:
            found = edit(day, found)
        return found

    def _arrived(self, day: date, now: datetime) -> dict[str, Decimal]:
        whole = costs(self.seed, self.team_id, day)
        if self.late_hours is None:
            return whole
        needed = DAY_HOURS + self.late_hours
        passed = min(needed, (now - datetime.combine(day, time(), UTC)) // timedelta(hours=1))
        return {label: part(usd, passed, needed) for label, usd in whole.items()}


def key_name(key: str) -> str:
    """A name for the key that does not reveal it."""
    return f"sha256:{sha256(key.encode()).hexdigest()[:8]}"


def well_known_teams(seed: int) -> dict[str, Team]:
    return _by_id(
        [
            Team(DEMO_TEAM, seed),
            Team(SECOND_TEAM, seed),
            Team(EMPTY_TEAM, seed, spends=False),
            Team(LATE_TEAM, seed, late_hours=72),
            Team(PROTOTYPE_TEAM, seed),
        ]
    )


def well_known_keys() -> dict[str, Key]:
    return {
        DEMO_KEY: Key("demo", DEMO_TEAM),
        SECOND_KEY: Key("second", SECOND_TEAM),
        EMPTY_KEY: Key("empty", EMPTY_TEAM),
        LATE_KEY: Key("late", LATE_TEAM),
        PROTOTYPE_KEY: Key("prototype", PROTOTYPE_TEAM),
        PROTOTYPE_NEXT_KEY: Key("prototype-next", PROTOTYPE_TEAM),
        NO_SCOPE_KEY: Key("no-scope", DEMO_TEAM, scope=False),
        REVOKED_KEY: Key("revoked", DEMO_TEAM, revoked=True),
    }


def _by_id(teams: Iterable[Team]) -> dict[str, Team]:
    return {team.team_id: team for team in teams}
