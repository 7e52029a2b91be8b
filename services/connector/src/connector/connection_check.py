"""Test Connection: one real call, and in words what it told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contract.problems import CAUSES, Code
from xai_usage import CallFailed, TeamAccess, UsageClient

from connector.domain import hints


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person typed or pasted, spaces around it taken away."""

    team_id: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Works:
    """xAI accepts the key for the team."""

    labels: tuple[str, ...]
    """What was used yesterday and today; empty where nothing was."""


@dataclass(frozen=True, slots=True)
class Fails:
    """xAI does not, or was not asked."""

    code: Code
    hints: tuple[str, ...]
    retry_after: float | None
    """Seconds that xAI asked to wait."""

    @property
    def detail(self) -> str:
        if self.code is Code.RATE_LIMITED and self.retry_after:
            return f"Too many requests were made with this team's keys. Try again in {self.retry_after:.0f} seconds."
        return CAUSES[self.code].detail


class ConnectionTest:
    """Asks xAI for the costs of yesterday and today."""

    def __init__(self, client: UsageClient, clock: Callable[[], datetime]) -> None:
        """`clock` says what today is (aware, UTC)."""
        self._client = client
        self._clock = clock

    async def run(self, typed: Typed) -> Works | Fails:
        today = self._clock().date()
        try:
            answer = await self._client.ask(TeamAccess(typed.team_id, typed.key), today - timedelta(days=1), today)
        except CallFailed as failed:
            return _fails(typed, failed)
        return Works(tuple(sorted({label for costs in answer.days.values() for label in costs})))


def malformed(typed: Typed) -> Fails | None:
    """What cannot be a team and its key, seen without asking anybody; None where they have the form of one."""
    try:
        TeamAccess(typed.team_id, typed.key)
    except CallFailed as failed:
        return _fails(typed, failed)
    return None


def _fails(typed: Typed, failed: CallFailed) -> Fails:
    return Fails(failed.code, tuple(hints(typed.team_id, typed.key, failed.code)), failed.retry_after)
