"""What a failure means: whether waiting helps."""

import asyncio

import psycopg
import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError
from common.errors import TransientError, is_own_cancellation, is_transient, tables_unfit
from sqlalchemy.exc import DataError, IntegrityError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError


class StandbyError(Exception):
    sqlstate = "25006"


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (TransientError(), True),
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (PoolTimeoutError(), True),
        (KafkaConnectionError(), True),
        (MessageSizeTooLargeError(), False),
        (OperationalError("", {}, Exception()), True),
        (OperationalError("", {}, StandbyError()), True),
        (DataError("", {}, StandbyError()), True),
        (InternalError("", {}, psycopg.errors.TransactionTimeout()), True),
        (DataError("", {}, Exception()), False),
        (IntegrityError("", {}, Exception()), False),
        (DataError("", {}, Exception(), connection_invalidated=True), True),
        (psycopg.OperationalError(), True),
        (psycopg.InterfaceError(), True),
        (psycopg.errors.ReadOnlySqlTransaction(), True),
        (psycopg.errors.IdleInTransactionSessionTimeout(), True),
        (psycopg.errors.TransactionTimeout(), True),
        (psycopg.errors.DivisionByZero(), False),
        (ValueError(), False),
    ],
)
def test_waiting_helps_where_something_is_unavailable(error: Exception, helps: bool) -> None:  # noqa: FBT001 - a case
    assert is_transient(error) is helps


@pytest.mark.parametrize(
    ("error", "unfit"),
    [
        (ProgrammingError("", {}, Exception()), True),
        (psycopg.errors.UndefinedTable(), True),
        (psycopg.errors.InsufficientPrivilege(), True),
        (DataError("", {}, Exception()), False),
        (psycopg.errors.NumericValueOutOfRange(), False),
        (ValueError(), False),
    ],
)
def test_tables_are_unfit_where_the_database_reports_them(error: Exception, unfit: bool) -> None:  # noqa: FBT001 - a case
    assert tables_unfit(error) is unfit


async def test_a_cancellation_that_leaked_differs_from_ones_own() -> None:
    found: list[bool] = []

    async def leaking() -> None:
        raise asyncio.CancelledError

    async def work() -> None:
        try:
            await leaking()
        except asyncio.CancelledError:
            found.append(is_own_cancellation())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            found.append(is_own_cancellation())

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await task
    assert found == [False, True]
