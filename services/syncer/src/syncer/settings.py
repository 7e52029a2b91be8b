"""Settings of the syncer, from the environment."""

from pathlib import Path
from typing import Annotated

from common.rate_limits import Rate
from common.settings import Contact, HttpUrl, ServiceSettings, Settings
from pydantic import Field

from syncer.domain import TEAM_RATE_PER


class XaiSettings(Settings):
    """What calls of xAI with customers' keys need."""

    keyring_file: Path
    """Keys that open credentials; others must not be able to read it."""
    environment: str = "production"
    """Bound into every sealed credential: one of another environment does not open."""
    xai_base_url: HttpUrl = "https://management-api.x.ai"
    xai_contact: Contact = ""
    """Whom xAI can ask about these calls; sent in User-Agent. Empty: nobody is named."""
    calls_per_second: Annotated[int, Field(ge=1, le=1000, validation_alias="SYNCER_CALLS_PER_SECOND")] = 200
    """Windows that this process reads, at most; twice as many at once. By default the calls in flight are the limit."""
    team_calls_per_minute: Annotated[int, Field(ge=1, le=6000, validation_alias="SYNCER_TEAM_CALLS_PER_MINUTE")] = 60
    """Calls of one team, whichever account connected it, by all processes together."""

    def call_rates(self) -> tuple[Rate, Rate]:
        """Of calls overall, and of one team."""
        return Rate(2 * self.calls_per_second, 2), Rate(self.team_calls_per_minute, int(TEAM_RATE_PER.total_seconds()))


class SyncerSettings(XaiSettings, ServiceSettings):
    """What the syncer needs beside every service's settings."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8002
    calls_in_flight: Annotated[int, Field(ge=1, le=64, validation_alias="SYNCER_CALLS_IN_FLIGHT")] = 32
    """Calls of xAI at the same time in this process: with answers in 0.3 s, 32 are about 100 windows a second."""
    heal_every: Annotated[float, Field(gt=0, validation_alias="SYNCER_HEAL_EVERY_SECONDS")] = 60.0
    """Seconds between two rounds of the healer, and of housekeeping."""
