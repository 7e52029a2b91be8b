"""Settings of the syncer, from the environment."""

from pathlib import Path
from typing import Annotated

from common.rate_limits import Rate
from common.settings import Contact, HttpUrl, ServiceSettings, Settings
from pydantic import Field


class XaiSettings(Settings):
    """What calls of xAI with customers' keys need."""

    keyring_file: Path
    """Keys that open credentials; others must not be able to read it."""
    environment: str = "production"
    """Bound into every sealed credential: one of another environment does not open."""
    xai_base_url: HttpUrl = "https://management-api.x.ai"
    xai_contact: Contact = ""
    """Whom xAI can ask about these calls; sent in User-Agent. Empty: nobody is named."""
    calls_per_second: Annotated[int, Field(ge=1, le=1000, validation_alias="SYNCER_CALLS_PER_SECOND")] = 20
    """Windows that this process reads, at most; twice as many at once."""
    team_calls_per_minute: Annotated[int, Field(ge=1, le=6000, validation_alias="SYNCER_TEAM_CALLS_PER_MINUTE")] = 60
    """The same for one team, whichever account connected it."""

    def call_rates(self) -> tuple[Rate, Rate]:
        """Of calls overall, and of one team."""
        return Rate(2 * self.calls_per_second, 2), Rate(self.team_calls_per_minute, 60)


class SyncerSettings(XaiSettings, ServiceSettings):
    """What the syncer needs beside every service's settings."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8002
    calls_in_flight: Annotated[int, Field(ge=1, le=16, validation_alias="SYNCER_CALLS_IN_FLIGHT")] = 8
    """Calls of xAI at the same time in this process."""
    heal_every: Annotated[float, Field(gt=0, validation_alias="SYNCER_HEAL_EVERY_SECONDS")] = 60.0
    """Seconds between two rounds of the healer, and of housekeeping."""
