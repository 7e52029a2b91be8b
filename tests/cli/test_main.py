from collections.abc import Iterator
from importlib.metadata import version

import pytest
from grafient import main
from typer import Exit
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from tests.support.commands import invoke


def test_without_the_embedded_stack_up_and_demo_print_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "find_spec", lambda _name: None)

    for command in main.local_commands():
        with pytest.raises(Exit):
            command()

    assert capsys.readouterr().err.count("grafient[local]") == 2


def test_the_version_is_that_of_the_package() -> None:
    assert invoke("--version").stdout == f"grafient {version('grafient')}\n"


def _commands(group: TyperGroup, *names: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, *names, name)
        elif isinstance(command, TyperCommand):
            yield (*names, name)


APP = get_command(main.app)
assert isinstance(APP, TyperGroup)


@pytest.mark.parametrize("command", list(_commands(APP)), ids=" ".join)
def test_every_command_shows_an_example(command: tuple[str, ...]) -> None:
    shown = " ".join(invoke(*command, "--help", env={"COLUMNS": "200"}).stdout.split())

    assert "Example: " in shown
    assert f"grafient {' '.join(command)}" in shown
