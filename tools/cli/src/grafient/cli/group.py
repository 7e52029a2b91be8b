"""The group of all commands: each is imported when it is used, and what fails becomes a sentence and an exit status."""

import json
import logging
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command, get_group

EXIT_STATUSES = (
    "Exit status: 0 all is as it should be, or done; 1 something differs, waits, or was refused; 2 wrong usage, or a "
    "setting that cannot be used; 3 broker, database or another service cannot be reached."
)
"""At the end of the help of every command."""


class LazyCommand(TyperCommand):
    """A command's name, and where its code is: `module:attribute`, a function or a `typer.Typer` of several commands.

    `summary` is the first paragraph of its help. A function also has an `example`; commands of a Typer have their own.
    `needs` is a module of the extra `local`.
    """

    def __init__(self, name: str, place: str, summary: str, *, example: str = "", needs: str = "sys") -> None:
        super().__init__(name, help=summary)
        self._place = place
        self._example = example
        self._needs = needs

    def load(self) -> Any:  # noqa: ANN401 - typer does not show the type of its commands
        """Import the command. Raises UserError where this installation lacks it."""
        if find_spec(self._needs) is None:
            from common.errors import UserError  # noqa: PLC0415 - it takes long to import

            raise UserError(
                "the embedded stack is not installed here", "run `make install`, or install grafient[local]"
            )
        module, _, attribute = self._place.partition(":")
        found = getattr(import_module(module), attribute)
        return _with_statuses(get_group(found) if isinstance(found, typer.Typer) else self._of(found))

    def _of(self, function: Any) -> Any:  # noqa: ANN401 - as above
        alone = typer.Typer(add_completion=False)
        alone.command(self.name, epilog=f"Example: {self._example}")(function)
        return get_command(alone)


def _with_statuses(command: Any) -> Any:  # noqa: ANN401 - as above
    command.epilog = f"{command.epilog}\n\n{EXIT_STATUSES}" if command.epilog else EXIT_STATUSES
    for one in getattr(command, "commands", {}).values():
        _with_statuses(one)
    return command


class CommandGroup(TyperGroup):
    """Ends with one of EXIT_STATUSES."""

    lazy_commands: Sequence[LazyCommand] = ()

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - typer's own
        super().__init__(**attributes)
        self.commands.update({str(one.name): one for one in self.lazy_commands})

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401 - as above
        """Typer calls it before a command is used or completed, and not for the list of commands."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LazyCommand) else command, rest

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what is printed here replaces what it would log
        as_json = "--json" in ctx.args
        try:
            return super().invoke(ctx)
        except typer.Exit:
            raise
        except (Exception, SystemExit) as error:
            if (status := _printed(error, as_json=as_json)) is None:
                raise
            raise typer.Exit(status) from None


def _printed(error: BaseException, *, as_json: bool) -> int | None:
    """Print why the command ends; returns its exit status, or None where typer or a traceback has to show `error`."""
    from grafient.cli.errors import report_of  # noqa: PLC0415 - it takes long to import

    if (report := report_of(error)) is None:
        return None
    if as_json:
        typer.echo(json.dumps(report.data()))
    if isinstance(error, TyperException):
        return None
    if not report.printed:
        typer.echo(report.sentence, err=True)
    return report.status
