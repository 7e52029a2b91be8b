"""What cannot be done is said in a sentence, not by a traceback."""

import logging
from typing import Any

import typer
from aiokafka.errors import KafkaError
from common.errors import TransientError
from common.settings import EXIT_BAD_SETTINGS, StartRefusedError
from sqlalchemy.exc import OperationalError, ProgrammingError
from typer.core import TyperGroup


class Refusing(TyperGroup):
    """Commands that need files, database and broker: status 78 for a file that cannot be used, 1 for what is away."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer does not show the type of its context
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would say, the sentence says
        try:
            return super().invoke(ctx)
        except StartRefusedError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(EXIT_BAD_SETTINGS) from None
        except (OperationalError, ProgrammingError) as error:
            told = str(error.orig).splitlines()[0]
            typer.echo(f"DATABASE_URL: {told}; check the address, and that `grafient migrate` has been run", err=True)
        except (KafkaError, TransientError) as error:
            told = (
                f"{type(error).__name__}: the broker does not answer; check the address, the protocol and the password"
            )
            typer.echo(f"KAFKA_BOOTSTRAP_SERVERS: {told}", err=True)
        raise typer.Exit(1)
