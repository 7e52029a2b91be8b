"""Settings of the ledger, from the environment."""

from pathlib import Path
from typing import Annotated

from common.settings import ServiceSettings
from pydantic import Field


class LedgerSettings(ServiceSettings):
    """What the ledger needs beside every service's settings."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8003
    api_tokens_file: Path
    """Hashes of the tokens that its API accepts."""
