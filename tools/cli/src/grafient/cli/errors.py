"""What a command cannot do becomes one sentence on stderr and an exit status, not a traceback."""

from dataclasses import dataclass

from aiokafka.errors import KafkaError
from common.errors import TransientError, UserError
from common.settings import EXIT_BAD_SETTINGS, StartRefusedError
from sqlalchemy.exc import OperationalError, ProgrammingError


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Why a command ends, for people, and its exit status."""

    sentence: str
    status: int


def report_of(error: Exception) -> ErrorReport | None:
    """None where `error` is not foreseen: a traceback shows what it is."""
    match error:
        case StartRefusedError():
            return ErrorReport(str(error), EXIT_BAD_SETTINGS)
        case UserError():
            return ErrorReport(str(error), 1)
        case OperationalError() | ProgrammingError():
            return ErrorReport(_of_database(error), 1)
        case KafkaError() | TransientError():
            return ErrorReport(_of_broker(error), 1)
        case _:
            return None


def _of_database(error: OperationalError | ProgrammingError) -> str:
    reason = str(error.orig).splitlines()[0]
    return f"DATABASE_URL: {reason}; check the address, and that `grafient migrate` has been run"


def _of_broker(error: Exception) -> str:
    name = type(error).__name__
    return (
        f"KAFKA_BOOTSTRAP_SERVERS: {name}: the broker does not answer; check the address, the protocol and the password"
    )
