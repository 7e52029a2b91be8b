"""Test Connection: one real call, and its result in words."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from contract.fields import canonical_team_id
from contract.problems import Code, cause_of
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from xai_usage import CallFailed, CallMalformed, TeamAccess, UsageClient

from connector.domain import hints


def _stripped(key: SecretStr) -> SecretStr:
    return SecretStr(key.get_secret_value().strip())


def _canonical(team_id: str) -> str:
    return canonical_team_id(team_id) or team_id


TeamText = Annotated[str, AfterValidator(_canonical), Field(examples=["3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"])]
KeyText = Annotated[SecretStr, AfterValidator(_stripped), Field(examples=["obviously-fake-management-key"])]


class Credentials(BaseModel):
    """A team and its key; the test names what is wrong with them. The team may be any written form of its UUID."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    team_id: TeamText
    management_key: KeyText

    @property
    def key(self) -> str:
        """In the clear."""
        return self.management_key.get_secret_value()


@dataclass(frozen=True, slots=True)
class Passed:
    """xAI accepts the key for the team."""

    labels: tuple[str, ...]
    """What was used yesterday and today; empty where nothing was."""


@dataclass(frozen=True, slots=True)
class Failed:
    """xAI refuses the key, or could not be asked."""

    code: Code
    hints: tuple[str, ...]
    retry_after: float | None
    """Seconds that xAI requires to wait."""

    @property
    def detail(self) -> str:
        if self.code is Code.RATE_LIMITED and self.retry_after:
            return f"Too many requests were made with this team's keys. Try again in {self.retry_after:.0f} seconds."
        return cause_of(self.code).detail


class ConnectionTest:
    """Reads the costs of yesterday and today from xAI."""

    def __init__(self, client: UsageClient, clock: Callable[[], datetime]) -> None:
        """`clock` returns the current instant (aware, UTC)."""
        self._client = client
        self._clock = clock

    async def run(self, credentials: Credentials) -> Passed | Failed:
        today = self._clock().date()
        try:
            access = _access(credentials)
            answer = await self._client.ask(access, today - timedelta(days=1), today)
        except CallFailed as error:
            return _failed(credentials, error)
        return Passed(tuple(sorted({label for costs in answer.days.values() for label in costs})))


def malformed(credentials: Credentials) -> Failed | None:
    """Why these cannot be a team and its key, without a call; None where they have the form of one."""
    try:
        _access(credentials)
    except CallFailed as error:
        return _failed(credentials, error)
    return None


def _access(credentials: Credentials) -> TeamAccess:
    if canonical_team_id(credentials.team_id) is None:
        raise CallMalformed(Code.TEAM_MALFORMED)
    return TeamAccess(credentials.team_id, credentials.key)


def _failed(credentials: Credentials, error: CallFailed) -> Failed:
    return Failed(error.code, tuple(hints(credentials.key, error.code)), error.retry_after)
