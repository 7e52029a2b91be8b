"""Settings of the ledger, from the environment."""

from typing import Annotated

from common.settings import ApiSettings
from pydantic import Field


class LedgerSettings(ApiSettings):
    """What the ledger needs beside every service's settings."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8003
