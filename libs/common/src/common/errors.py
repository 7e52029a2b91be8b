"""What a failure means for the message that is handled: the class of an exception carries the decision."""

import asyncio
import sys

import psycopg

RETRY_AFTER = 5
"""Seconds that an HTTP client is asked to wait before it tries again."""


class TransientError(Exception):
    """Wait and try again, for as long as it takes: something outside is unavailable."""

    def __init__(self, reason: str = "", *, retry_after: int = RETRY_AFTER) -> None:
        """`retry_after`: seconds that an HTTP client is asked to wait."""
        super().__init__(reason)
        self.retry_after = retry_after


class UserError(Exception):
    """An operator's command cannot be done, for this reason; `next_step` is what to do about it."""

    def __init__(self, reason: str, next_step: str = "") -> None:
        super().__init__(f"{reason}: {next_step}" if next_step else reason)
        self.reason = reason
        self.next_step = next_step


class UsageError(UserError):
    """The command was called with something that does not exist, exists already, or is not allowed."""


class UnreachableError(UserError):
    """What the command needs does not answer."""


_PASSING_STATES = frozenset({"25006", "25P03", "25P04"})
"""SQLSTATEs of a write in a read-only transaction, for after a failover the connection may lead to a server that only reads;
and of a transaction that was ended because it idled, or lasted, too long: its process was held up."""

_SQLALCHEMY, _KAFKA = "sqlalchemy.exc", "aiokafka.errors"


def transient_errors() -> tuple[type[Exception], ...]:
    """Classes of errors that may be transient; `is_transient` decides."""
    of_libraries = (*_loaded(_SQLALCHEMY, "DBAPIError", "TimeoutError"), *_loaded(_KAFKA, "KafkaError"))
    return (TransientError, psycopg.Error, TimeoutError, ConnectionError, *of_libraries)


def is_transient(error: BaseException) -> bool:
    """Whether waiting helps: database, broker or a peer is unavailable, locked, out of space, or slow."""
    if isinstance(error, _loaded(_SQLALCHEMY, "DBAPIError")) and (
        _is_invalidated(error) or _passes(getattr(error, "orig", None))
    ):
        return True
    if isinstance(error, psycopg.Error):
        return _passes(error) or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if isinstance(error, _loaded(_KAFKA, "KafkaError")):
        return bool(getattr(error, "retriable", False))
    of_database = _loaded(_SQLALCHEMY, "OperationalError", "InterfaceError", "TimeoutError")
    return isinstance(error, (TransientError, TimeoutError, ConnectionError, *of_database))


def tables_unfit(error: BaseException) -> bool:
    """Whether tables or grants are not as they should be: statements are fixed text, so no message is to blame."""
    return isinstance(error, (psycopg.ProgrammingError, *_loaded(_SQLALCHEMY, "ProgrammingError")))


def is_own_cancellation() -> bool:
    """Whether this task is being cancelled, as opposed to a cancellation that leaked from what it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _loaded(module: str, *names: str) -> tuple[type[Exception], ...]:
    """Classes of a library where this process has loaded it: one that has not saves its memory, and raises nothing."""
    library = sys.modules.get(module)
    return tuple(getattr(library, name) for name in names) if library else ()


def _is_invalidated(error: BaseException) -> bool:
    """SQLAlchemy's own mark of a connection that broke."""
    return bool(getattr(error, "connection_invalidated", False))


def _passes(error: BaseException | None) -> bool:
    return getattr(error, "sqlstate", None) in _PASSING_STATES


def name_of(error: BaseException) -> str:
    """The error's class, and the driver's behind it; never its text, which can hold values."""
    inner = getattr(error, "orig", None)
    return f"{type(error).__name__}({type(inner).__name__})" if inner is not None else type(error).__name__
