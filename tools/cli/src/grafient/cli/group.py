"""The group of all commands: each is imported when it is used, and what fails becomes a sentence and an exit status."""

import logging
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group


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

            raise UserError("the embedded stack is not installed here: run `make install`, or install grafient[local]")
        module, _, attribute = self._place.partition(":")
        found = getattr(import_module(module), attribute)
        return get_group(found) if isinstance(found, typer.Typer) else self._of(found)

    def _of(self, function: Any) -> Any:  # noqa: ANN401 - as above
        alone = typer.Typer(add_completion=False)
        alone.command(self.name, epilog=f"Example: {self._example}")(function)
        return get_command(alone)


class CommandGroup(TyperGroup):
    """Ends with status 78 where a setting or a file cannot be used, with 1 where something else cannot be done."""

    lazy_commands: Sequence[LazyCommand] = ()

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - typer's own
        super().__init__(**attributes)
        self.commands.update({str(one.name): one for one in self.lazy_commands})

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401 - typer does not show the type of its context
        """Typer calls it before a command is used or completed, and not for the list of commands."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LazyCommand) else command, rest

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the sentence below replaces what it would log
        try:
            return super().invoke(ctx)
        except Exception as error:
            from grafient.cli.errors import report_of  # noqa: PLC0415 - it takes long to import

            if (report := report_of(error)) is None:
                raise
            typer.echo(report.sentence, err=True)
            raise typer.Exit(report.status) from None
