"""Settings of the connector, from the environment."""

from pathlib import Path
from typing import Annotated

from common.settings import ApiSettings, Contact, HttpUrl
from pydantic import Field


class ConnectorSettings(ApiSettings):
    """What the connector needs beside every service's settings."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8001
    keyring_file: Path
    """Keys that seal credentials; others must not be able to read it."""
    sealing_key_file: Path
    """Private keys that open what programs seal into commands; others must not be able to read it."""
    environment: str = "production"
    """Bound into every sealed credential and command: those of another environment do not open."""
    xai_base_url: HttpUrl = "https://management-api.x.ai"
    xai_contact: Contact = ""
    """Whom xAI can ask about these calls; sent in User-Agent. Empty: nobody is named."""
    connector_commands_in_flight: Annotated[int, Field(ge=1, le=16)] = 8
    """Commands from the topic that are done at the same time, each of another account."""
    connector_tests_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 60
    """Per account and process: each is a call of xAI, also when a team is added or its key replaced."""
