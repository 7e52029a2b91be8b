"""What a command cannot do is one sentence and a status."""

import pytest
import typer
from aiokafka.errors import KafkaConnectionError
from common.errors import TransientError, UserError
from common.settings import StartRefusedError
from grafient.cli.group import CommandGroup
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

CASES = [
    (StartRefusedError("a file is open to others"), 78, "a file is open to others\n"),
    (UserError("there is no such token"), 1, "there is no such token\n"),
    (OperationalError("SELECT 1", {}, Exception("refused\nat length")), 1, "DATABASE_URL: refused; check the address"),
    (KafkaConnectionError(), 1, "KAFKA_BOOTSTRAP_SERVERS: KafkaConnectionError: the broker does not answer"),
    (TransientError("late"), 1, "KAFKA_BOOTSTRAP_SERVERS: TransientError: the broker does not answer"),
]


@pytest.mark.parametrize(("error", "status", "sentence"), CASES, ids=lambda case: type(case).__name__)
def test_an_error_becomes_a_sentence_and_a_status(error: Exception, status: int, sentence: str) -> None:
    app = typer.Typer(cls=CommandGroup)

    @app.command()
    def fail() -> None:
        raise error

    @app.command()
    def other() -> None:
        """Makes a group of it."""

    result = CliRunner().invoke(app, ["fail"])

    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.startswith(sentence)
    assert len(result.stderr.splitlines()) == 1
