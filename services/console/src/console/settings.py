"""Settings of the console, from the environment."""

from pathlib import Path
from typing import Annotated

from common.settings import HttpUrl, ServingSettings, Settings
from pydantic import Field, SecretStr


class LinkSettings(Settings):
    """What makes a signed link; `grafient console link` needs no more."""

    console_url: HttpUrl = "http://127.0.0.1:8004"
    """Where customers reach the console. With https the session's cookie is sent over TLS only."""
    console_link_secrets_file: Path
    """Secrets that sign links, one a line, the current one first; others must not be able to read it."""


class ConsoleSettings(ServingSettings, LinkSettings):
    """What the console needs."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8004
    console_connector_url: HttpUrl
    console_ledger_url: HttpUrl
    console_api_token: SecretStr
    """For the routes of connector and ledger, of every account that uses the console."""
    console_theme_file: Path | None = None
    """A file of custom properties that replaces `theme.css`; None: the console's own."""
