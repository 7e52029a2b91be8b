"""`grafient replay`: a range of a topic, handled again by the services' own code while live traffic goes on."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from common.topics import COMMANDS_TOPIC, COSTS, CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from grafient.moments import instant
from grafient.output import Json, progress_console, show, table

HANDLED_BY: dict[str, tuple[str, ...]] = {
    COSTS.name: ("ledger",),
    INTEGRATIONS.name: ("syncer", "ledger"),
    CREDENTIALS.name: ("syncer",),
    SYNC_REQUESTS.name: ("syncer",),
    SYNC_OUTCOMES.name: ("connector", "syncer"),
    COMMANDS_TOPIC.name: ("connector",),
}


def replay(  # noqa: PLR0913 - a command's options
    topic: Annotated[str, typer.Argument(help=f"One of {', '.join(HANDLED_BY)}.")],
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
    if topic not in HANDLED_BY:
        raise typer.BadParameter(f"{topic}: no service handles it; choose one of {', '.join(HANDLED_BY)}")
    arguments = [
        topic,
        *_each("--from", _bounds(since)),
        *_each("--to", _bounds(until)),
        *_each("--integration", [integration] if integration else []),
        *_each("--account", [account] if account else []),
        *(["--publish-outcomes"] if publish_outcomes else []),
        *(["--dry-run"] if dry_run else []),
    ]
    reports = [_run(name, arguments) for name in HANDLED_BY[topic] if not service or name in service]
    show(reports, table("Replayed", [_row(report) for report in reports]), as_json=as_json)


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


def entry_point(module: str, title: str, arguments: Sequence[str]) -> dict[str, Any]:
    """What a service's own entry point reports, with a bar meanwhile; raises Exit with its status where it fails."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=progress_console, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def told(read: int, total: int) -> None:
            bar.update(task, completed=read, total=total)

        return asyncio.run(_entry_point(module, arguments, told))


async def _entry_point(module: str, arguments: Sequence[str], told: Callable[[int, int], None]) -> dict[str, Any]:
    """Run `module`; raises Exit with its status where it fails, which it has said itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    assert process.stdout is not None  # noqa: S101 - asked for
    report: dict[str, Any] = {}
    try:
        async for line in process.stdout:
            said = json.loads(line)
            report = said.get("report", report)
            if "progress" in said:
                told(said["progress"]["read"], said["progress"]["total"])
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if status or not report:
        raise typer.Exit(status or 1)
    return report


def _row(report: dict[str, Any]) -> dict[str, str]:
    before, after = report["before"], report["after"]
    unchanged = "unchanged" if before == after else "changed"
    return {
        "service": report["service"],
        "read": str(report["read"]),
        "handled": "0 (dry run)" if report["dry_run"] else str(report["chosen"]),
        "malformed": str(report["malformed"]),
        "what became of it": ", ".join(f"{count} {name}" for name, count in report["counts"].items()) or "-",
        "state": f"{unchanged}: {after['days']} days, {after['usd']} USD" if after else "-",
    }
