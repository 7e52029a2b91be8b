"""`grafient replay`: a range of a topic, handled again by the services' own code while live traffic goes on."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from contract.access import consumers_of
from contract.topics import TOPICS
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from grafient.cli.output import Json, console, progress_console, show, table
from grafient.cli.time_options import instant

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes of what an entry point says at once."""
ROWS = 20
"""Of integrations, on a screen."""
CONSUMED = {topic.name: services for topic in TOPICS if (services := consumers_of(topic))}
"""Topics that can be replayed, and who handles each."""


def replay(  # noqa: PLR0913 - a command's options
    topic: Annotated[str, typer.Argument(help=f"One of {', '.join(CONSUMED)}.")],
    *,
    since: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="WHEN",
            help="24h, 2026-11-01, 2026-11-01T06:00:00Z, or PARTITION:OFFSET; none: the start.",
        ),
    ] = None,
    until: Annotated[
        list[str] | None, typer.Option("--to", metavar="WHEN", help="The same; not included; none: what stands now.")
    ] = None,
    integration: Annotated[str | None, typer.Option(help="Only messages of this integration.")] = None,
    account: Annotated[str | None, typer.Option(help="Only messages of this account.")] = None,
    service: Annotated[list[str] | None, typer.Option(help="Only this service; may be given again.")] = None,
    publish_outcomes: Annotated[
        bool,
        typer.Option(
            "--publish-outcomes", help="Publish again what handling leads to; otherwise nothing is said twice."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count; handle nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Handle a range of a topic again. Nothing that is there already changes, and xAI is not asked."""
    if topic not in CONSUMED:
        raise typer.BadParameter(f"{topic}: no service handles it; choose one of {', '.join(CONSUMED)}")
    arguments = [
        topic,
        *_each("--from", _bounds(since)),
        *_each("--to", _bounds(until)),
        *_each("--integration", [integration] if integration else []),
        *_each("--account", [account] if account else []),
        *(["--publish-outcomes"] if publish_outcomes else []),
        *(["--dry-run"] if dry_run else []),
    ]
    reports = [_run(name, arguments) for name in CONSUMED[topic] if not service or name in service]
    show(reports, table("Replayed", [_row(report) for report in reports]), as_json=as_json)
    if not as_json:
        _print_erased([row for report in reports for row in report["erased"]])


def _bounds(texts: Sequence[str] | None) -> list[str]:
    """Offsets as they are, instants in full."""
    return [text if _is_offset(text) else instant(text).isoformat() for text in texts or ()]


def _is_offset(text: str) -> bool:
    partition, _, offset = text.partition(":")
    return partition.isdigit() and offset.isdigit()


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [part for value in values for part in (option, value)]


def _run(service: str, arguments: Sequence[str]) -> dict[str, Any]:
    return {"service": service, **entry_point(f"{service}.replay", f"{service} replays", arguments)}


def entry_point(
    module: str, title: str, arguments: Sequence[str], said: Callable[[dict[str, Any]], None] = lambda _line: None
) -> dict[str, Any]:
    """What a service's own entry point reports, with a bar meanwhile; raises Exit with its status where it fails.

    `said` is given every line that is neither progress nor the report.
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=progress_console, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def told(line: dict[str, Any]) -> None:
            if progress := line.get("progress"):
                bar.update(task, completed=progress["read"], total=progress["total"])
            elif "report" not in line:
                said(line)

        return asyncio.run(_entry_point(module, arguments, told))


async def _entry_point(module: str, arguments: Sequence[str], told: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Run `module`; raises Exit with its status where it fails, which it has said itself."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
        env=dict(os.environ),
    )
    assert process.stdout is not None  # noqa: S101 - asked for
    report: dict[str, Any] = {}
    try:
        async for line in process.stdout:
            said = json.loads(line)
            report = said.get("report", report)
            told(said)
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if status or not report:
        raise typer.Exit(status or 1)
    return report


def _print_erased(erased: list[dict[str, Any]]) -> None:
    """Whose messages were passed over because an account wanted its history gone."""
    if not erased:
        return
    rows = [{name: str(one[name]) for name in one} for one in erased[:ROWS]]
    console.print(
        table("Passed over, for these integrations are erased", rows, frozenset({"cost_recorded", "window_read"}))
    )
    if len(erased) > ROWS:
        console.print(f"and {len(erased) - ROWS} more: --json names all")


def _words(name: str, count: int) -> str:
    return f"{count} {name.replace('_', ' ')}"


def _row(report: dict[str, Any]) -> dict[str, str]:
    before, after = report["before"], report["after"]
    unchanged = "unchanged" if before == after else "changed"
    return {
        "service": report["service"],
        "read": str(report["read"]),
        "handled": "0 (dry run)" if report["dry_run"] else str(report["chosen"]),
        "malformed": str(report["malformed"]),
        "what became of it": ", ".join(_words(name, count) for name, count in report["counts"].items() if count) or "-",
        "state": f"{unchanged}: {after['days']} days, {after['usd']} USD" if after else "-",
    }
