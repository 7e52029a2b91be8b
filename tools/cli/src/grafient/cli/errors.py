"""What a command cannot do becomes one sentence on stderr and an exit status, not a traceback."""

import logging
from typing import Any

import typer
from aiokafka.errors import KafkaError
from common.errors import TransientError, UserError
from common.settings import EXIT_BAD_SETTINGS, StartRefusedError
from sqlalchemy.exc import OperationalError, ProgrammingError
from typer.core import TyperGroup


class CommandGroup(TyperGroup):
    """Ends with status 78 where a setting or a file cannot be used, with 1 where something else cannot be done."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer does not show the type of its context
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the sentence below replaces what it would log
        try:
            return super().invoke(ctx)
        except StartRefusedError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(EXIT_BAD_SETTINGS) from None
        except (UserError, OperationalError, ProgrammingError, KafkaError, TransientError) as error:
            typer.echo(_sentence(error), err=True)
            raise typer.Exit(1) from None


def _sentence(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OperationalError | ProgrammingError):
        reason = str(error.orig).splitlines()[0]
        return f"DATABASE_URL: {reason}; check the address, and that `grafient migrate` has been run"
    name = type(error).__name__
    return (
        f"KAFKA_BOOTSTRAP_SERVERS: {name}: the broker does not answer; check the address, the protocol and the password"
    )
