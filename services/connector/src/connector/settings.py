"""Settings of the connector, from the environment."""

from pathlib import Path
from typing import Annotated

from common.settings import HttpUrl, ServiceSettings
from pydantic import Field


class ConnectorSettings(ServiceSettings):
    """What the connector needs beside every service's settings."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8001
    api_tokens_file: Path
    """Hashes of the tokens that its API accepts."""
    keyring_file: Path
    """Keys that seal credentials; others must not be able to read it."""
    environment: str = "production"
    """Bound into every sealed credential: one of another environment does not open."""
    xai_base_url: HttpUrl = "https://management-api.x.ai"
