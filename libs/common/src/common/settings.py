"""Settings are environment variables, or files of the same name in SECRETS_DIR (default /run/secrets)."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from contract.topics import TOPICS, Topic
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

EXIT_BAD_SETTINGS = 78
"""EX_CONFIG of sysexits.h."""
MAX_PARTITIONS = 1000


_HEADER_PAIR = re.compile(r" *[!#-'*+.0-9A-Z^-z|~-]+=[!-+.-~-]* *")


def _secrets_dir() -> Path | None:
    folder = Path(os.environ.get("SECRETS_DIR", "/run/secrets"))
    return folder if folder.is_dir() else None


def _psycopg_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith("postgresql+psycopg://"):
        raise ValueError("must start with postgresql+psycopg://")
    return url


def _http_url(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError("must start with https:// or http://")
    return url.rstrip("/")


def _partition_counts(text: object) -> object:
    """`xai.costs.v1=30,xai.commands.v1=12`, by topic."""
    if not isinstance(text, str):
        return text
    pairs = [[part.strip() for part in one.split("=")] for one in text.split(",") if one.strip()]
    names = {topic.name for topic in TOPICS}
    if any(len(pair) != 2 or pair[0] not in names or not pair[1].isdecimal() for pair in pairs):  # noqa: PLR2004 - a pair
        raise ValueError("must be TOPIC=COUNT, further ones after a comma, with topics of docs/topics.md")
    return dict(pairs)


def _header_pairs(pairs: SecretStr) -> SecretStr:
    text = pairs.get_secret_value()
    if text and not all(_HEADER_PAIR.fullmatch(pair) for pair in text.split(",")):
        raise ValueError("must be name=value, several of them joined by commas")
    return pairs


class SettingsExit(SystemExit):
    """Ends the process: `problems` has a sentence for each wrong or missing setting, and they have been printed."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(EXIT_BAD_SETTINGS)
        self.problems = problems


class StartRefusedError(Exception):
    """A setting leads to something unusable; the message names it and the next step, never a value."""


DatabaseUrl = Annotated[SecretStr, AfterValidator(_psycopg_url)]
PartitionCounts = Annotated[
    Mapping[str, Annotated[int, Field(ge=1, le=MAX_PARTITIONS)]], NoDecode, BeforeValidator(_partition_counts)
]
Contact = Annotated[str, Field(pattern=r"^[ !-'*-~]{0,200}$")]
"""An address or URL of the operator: printable ASCII without parentheses."""
HttpUrl = Annotated[str, AfterValidator(_http_url)]
HeaderPairs = Annotated[SecretStr, AfterValidator(_header_pairs)]


class Settings(BaseSettings):
    """A wrong or missing setting stops the start with a message that names it, never its value."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=True)


class KafkaSettings(Settings):
    """How to reach the broker."""

    kafka_bootstrap_servers: Annotated[str, Field(min_length=3)]
    """Comma-separated `host:port`."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_username: Annotated[str, Field(validate_default=True)] = ""
    """For SASL_*: SCRAM-SHA-512."""
    kafka_password: Annotated[SecretStr, Field(validate_default=True)] = SecretStr("")
    kafka_ca_file: Path | None = None
    """PEM of the authority that signed the broker's certificate; None: the system's."""
    topic_partitions: PartitionCounts = {}
    """By topic, the partitions that it has where they are not the declared ones: `xai.costs.v1=30`."""

    def partitions_of(self, topic: Topic) -> int:
        """How many partitions `topic` has for all who use it; the broker may have been altered since."""
        return self.topic_partitions.get(topic.name, topic.partitions)

    @field_validator("kafka_username", "kafka_password")
    @classmethod
    def _required_for_sasl(cls, value: str | SecretStr, info: ValidationInfo) -> str | SecretStr:
        protocol = info.data.get("kafka_security_protocol", "")
        if protocol.startswith("SASL") and not value:
            raise ValueError(f"is not set, and {protocol} needs it")
        return value

    @field_validator("kafka_ca_file")
    @classmethod
    def _file_exists(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("there is no such file")
        return value


class ProcessSettings(Settings):
    """Settings of every process that serves HTTP."""

    database_url: DatabaseUrl
    """`postgresql+psycopg://user@host:port/database`."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)]
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otel_exporter_otlp_endpoint: HttpUrl | None = None
    """Base URL of a collector of OpenTelemetry (OTLP over HTTP); None: no span is recorded."""
    otel_exporter_otlp_headers: HeaderPairs = SecretStr("")
    """`name=value,…`, as the collector needs them, such as a token; values are URL-encoded."""


class ServingSettings(ProcessSettings):
    """Further settings of one that clients and balancers reach."""

    http_keep_alive_seconds: Annotated[int, Field(ge=1, le=3600)] = 120
    """How long an idle connection stays open: longer than whatever is before this process keeps one."""
    http_stop_pause_seconds: Annotated[float, Field(ge=0, le=60)] = 5.0
    """Between the signal to stop and the end of the listening: balancers notice meanwhile that it is not ready."""


class ServiceSettings(KafkaSettings, ProcessSettings):
    """Settings of every service that takes part in topics."""

    instance_name: str = ""
    """Stable name of this process for static group membership: it survives restarts with its partitions. Empty: none."""


class ApiSettings(ServiceSettings, ServingSettings):
    """Further settings of a service with an API."""

    api_tokens_file: Path
    """Hashes of the tokens that are accepted; read again when it changes."""
    api_requests_per_second: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Of one token in one process, on average; twice as many at once after a quiet time."""


S = TypeVar("S", bound=Settings)


def load(settings: type[S]) -> S:
    """The settings from the environment; exits with a message for each wrong or missing one."""
    try:
        return _from_environment(settings)
    except ValidationError as error:
        for problem in _sentences(error):
            sys.stderr.write(f"setting {problem}; see docs/settings.md\n")
        raise SettingsExit(_sentences(error)) from None


def problems_of(settings: type[Settings]) -> list[str]:
    """One sentence per wrong or missing setting in the environment; never a value."""
    try:
        _from_environment(settings)
    except ValidationError as error:
        return _sentences(error)
    return []


def _from_environment(settings: type[S]) -> S:
    make: Callable[..., S] = settings
    return make(_secrets_dir=_secrets_dir())


def _sentences(error: ValidationError) -> list[str]:
    return [
        f"{'_'.join(str(part) for part in one['loc']).upper()}: {'is not set' if one['type'] == 'missing' else one['msg']}"
        for one in error.errors(include_input=False, include_url=False, include_context=False)
    ]
