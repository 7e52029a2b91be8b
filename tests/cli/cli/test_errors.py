"""What a command cannot do is one sentence and a status, and for programs an object."""

import json

import pytest
import typer
from aiokafka.errors import KafkaConnectionError
from common.errors import TransientError, UnreachableError, UsageError, UserError
from common.settings import SettingsExit, StartRefusedError
from grafient.cli.group import CommandGroup
from grafient.cli.output import Json
from sqlalchemy.exc import OperationalError, ProgrammingError
from typer.testing import CliRunner

CASES: list[tuple[BaseException, int, str, str]] = [
    (UserError("another one runs", "wait for its end"), 1, "refused", "another one runs: wait for its end\n"),
    (UsageError("there is no such token"), 2, "usage", "there is no such token\n"),
    (StartRefusedError("a file is open to others"), 2, "settings", "a file is open to others\n"),
    (
        OperationalError("SELECT 1", {}, Exception("no\nat length")),
        3,
        "database_unavailable",
        "DATABASE_URL: no: check",
    ),
    (
        ProgrammingError("SELECT 1", {}, Exception("no table")),
        3,
        "database_unavailable",
        "DATABASE_URL: no table: check",
    ),
    (KafkaConnectionError(), 3, "unavailable", "KAFKA_BOOTSTRAP_SERVERS: KafkaConnectionError: the broker does not"),
    (TransientError("late"), 3, "unavailable", "late: check the address of the broker"),
    (TimeoutError(), 3, "unavailable", "no answer in time: check"),
    (UnreachableError("xAI is silent", "ask again later"), 3, "unavailable", "xAI is silent: ask again later\n"),
]


def run(error: BaseException, *arguments: str) -> tuple[int, str, str]:
    app = typer.Typer(cls=CommandGroup)

    @app.command()
    def fail(*, as_json: Json = False) -> None:
        assert as_json == ("--json" in arguments)
        raise error

    @app.command()
    def other() -> None:
        """Makes a group of it."""

    result = CliRunner().invoke(app, ["fail", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(("error", "status", "code", "sentence"), CASES, ids=lambda case: type(case).__name__)
def test_an_error_becomes_a_sentence_and_a_status(error: BaseException, status: int, code: str, sentence: str) -> None:
    ended, stdout, stderr = run(error)

    assert (ended, stdout, code != "") == (status, "", True)
    assert stderr.startswith(sentence)
    assert len(stderr.splitlines()) == 1


@pytest.mark.parametrize(("error", "status", "code", "sentence"), CASES, ids=lambda case: type(case).__name__)
def test_programs_get_an_object_beside_the_sentence(
    error: BaseException, status: int, code: str, sentence: str
) -> None:
    ended, stdout, stderr = run(error, "--json")

    report = json.loads(stdout)
    assert (ended, report["code"], stderr.startswith(sentence)) == (status, code, True)
    assert report.keys() == {"code", "title", "detail", "next_step"}
    assert stderr.startswith(report["detail"])


def test_a_wrong_option_is_an_object_too() -> None:
    status, stdout, stderr = run(AssertionError(), "--json", "--no-such-option")

    assert (status, json.loads(stdout)["code"], "no-such-option" in stderr) == (2, "usage", True)


def test_settings_are_named_in_the_object() -> None:
    status, stdout, _ = run(SettingsExit(["A: is not set", "B: is not set"]), "--json")

    assert (status, json.loads(stdout)["detail"]) == (2, "A: is not set; B: is not set")


def test_an_error_that_nobody_foresaw_shows_where_it_happened() -> None:
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(_with(ZeroDivisionError()), ["fail"], catch_exceptions=False)


def _with(error: Exception) -> typer.Typer:
    app = typer.Typer(cls=CommandGroup)

    @app.command()
    def fail() -> None:
        raise error

    app.command("other")(fail)
    return app
