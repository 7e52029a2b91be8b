"""What a command cannot do becomes one sentence on stderr, an exit status and, with --json, an object; not a traceback."""

from dataclasses import dataclass

from aiokafka.errors import KafkaError
from common.errors import TransientError, UnreachableError, UsageError, UserError
from common.settings import SettingsExit, StartRefusedError
from sqlalchemy.exc import DBAPIError
from typer.exceptions import TyperException

REFUSED, USAGE, UNREACHABLE = 1, 2, 3
"""Exit statuses, as `--help` lists them."""
_BROKER = "check the address of the broker, the protocol and the password, and run this again"


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Why a command ends."""

    code: str
    title: str
    detail: str
    next_step: str
    status: int
    printed: bool = False
    """Whether stderr has the sentence already, or gets it from typer."""

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.detail}: {self.next_step}" if self.next_step else self.detail

    def data(self) -> dict[str, str]:
        """For programs."""
        return {"code": self.code, "title": self.title, "detail": self.detail, "next_step": self.next_step}


def report_of(error: BaseException) -> ErrorReport | None:  # noqa: PLR0911 - one a class of errors
    """None where `error` is not foreseen: a traceback shows what it is."""
    match error:
        case TyperException():
            return _of_usage(error.format_message(), "add --help to the command", printed=True)
        case UsageError():
            return _of_usage(error.reason, error.next_step)
        case UnreachableError():
            return _of_something(error.reason, error.next_step)
        case UserError():
            return ErrorReport("refused", "This cannot be done now", error.reason, error.next_step, REFUSED)
        case SettingsExit():
            return _of_settings("; ".join(error.problems), "see docs/settings.md", printed=True)
        case StartRefusedError():
            return _of_settings(str(error), "")
        case DBAPIError():
            return _of_database(error)
        case KafkaError():
            return _of_something(
                f"KAFKA_BOOTSTRAP_SERVERS: {type(error).__name__}: the broker does not answer", _BROKER
            )
        case TransientError() | TimeoutError() | ConnectionError():
            return _of_something(str(error) or "no answer in time", _BROKER)
        case _:
            return None


def _of_usage(detail: str, next_step: str, *, printed: bool = False) -> ErrorReport:
    return ErrorReport("usage", "The command is not used as it can be", detail, next_step, USAGE, printed)


def _of_settings(detail: str, next_step: str, *, printed: bool = False) -> ErrorReport:
    return ErrorReport(
        "settings", "A setting, or the file that it names, cannot be used", detail, next_step, USAGE, printed
    )


def _of_database(error: DBAPIError) -> ErrorReport:
    detail = f"DATABASE_URL: {str(error.orig).splitlines()[0]}"
    next_step = "check the address, and that `grafient migrate` has been run"
    return ErrorReport("database_unavailable", "The database cannot be used", detail, next_step, UNREACHABLE)


def _of_something(detail: str, next_step: str) -> ErrorReport:
    return ErrorReport("unavailable", "What the command needs does not answer", detail, next_step, UNREACHABLE)
