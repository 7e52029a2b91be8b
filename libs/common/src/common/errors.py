"""What a failure means for the message that is handled: the class of an exception carries the decision."""

import asyncio

import psycopg
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError


class TransientError(Exception):
    """Wait and try again, for as long as it takes: something outside is unavailable."""


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


READ_ONLY = "25006"
"""SQLSTATE of a write in a read-only transaction."""

TRANSIENT_ERRORS: tuple[type[Exception], ...] = (
    TransientError,
    DBAPIError,
    psycopg.Error,
    PoolTimeoutError,
    KafkaError,
    TimeoutError,
    ConnectionError,
)
"""Classes of errors that may be transient; `is_transient` decides."""


def is_transient(error: BaseException) -> bool:
    """Whether waiting helps: database, broker or a peer is unavailable, locked, out of space, or slow."""
    if isinstance(error, DBAPIError) and (error.connection_invalidated or _is_standby(error)):
        return True
    if isinstance(error, psycopg.Error):
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or error.sqlstate == READ_ONLY
    if isinstance(error, KafkaError):
        return bool(error.retriable)
    return isinstance(
        error,
        TransientError | OperationalError | InterfaceError | PoolTimeoutError | TimeoutError | ConnectionError,
    )


def tables_unfit(error: BaseException) -> bool:
    """Whether tables or grants are not as they should be: statements are fixed text, so no message is to blame."""
    return isinstance(error, ProgrammingError)


def is_own_cancellation() -> bool:
    """Whether this task is being cancelled, as opposed to a cancellation that leaked from what it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _is_standby(error: DBAPIError) -> bool:
    """After a failover the connection may lead to a server that only reads."""
    return getattr(error.orig, "sqlstate", None) == READ_ONLY


def name_of(error: BaseException) -> str:
    """The error's class, and the driver's behind it; never its text, which can hold values."""
    inner = getattr(error, "orig", None)
    return f"{type(error).__name__}({type(inner).__name__})" if inner is not None else type(error).__name__
