"""`grafient replay`: handle a range of a topic again with the services' own code, while live traffic continues."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import connector.operations.replay
import ledger.operations.replay
import syncer.operations.replay
import typer
from common.kafka.ranges import Bound
from common.replay import Factory, ReplayRequest, ReplaySettings, run_replay
from common.settings import load
from contract.topics import TOPICS

from grafient.cli.operations import run_operation
from grafient.cli.output import Json, print_out, show, table
from grafient.cli.progress import progress_bar
from grafient.cli.time_options import instant
from grafient.cli.topics import HANDLED_BY

ROWS = 20
"""Of integrations, on a screen."""
FACTORIES: dict[str, Factory] = {
    "connector": connector.operations.replay.replay_handlers,
    "syncer": syncer.operations.replay.replay_handlers,
    "ledger": ledger.operations.replay.replay_handlers,
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
        list[str] | None, typer.Option("--to", metavar="WHEN", help="The same; not included; none: the present end.")
    ] = None,
    integration: Annotated[str | None, typer.Option(help="Only messages of this integration.")] = None,
    account: Annotated[str | None, typer.Option(help="Only messages of this account.")] = None,
    service: Annotated[list[str] | None, typer.Option(help="Only this service; may be repeated.")] = None,
    publish_outcomes: Annotated[
        bool,
        typer.Option(
            "--publish-outcomes", help="Publish again what handling leads to; otherwise nothing is published."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count; handle nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Handle a range of a topic again. What is stored already does not change, and xAI is not asked."""
    if topic not in HANDLED_BY:
        raise typer.BadParameter(f"{topic}: no service handles it; choose one of {', '.join(HANDLED_BY)}")
    declared = next(one for one in TOPICS if one.name == topic)
    request = ReplayRequest(declared, bound(since or ()), bound(until or ()), integration, account, dry_run)
    services = [name for name in HANDLED_BY[topic] if not service or name in service]
    reports = [_replay(name, request, publish_outcomes=publish_outcomes) for name in services]
    show(reports, table("Replayed", [_row(report) for report in reports]), as_json=as_json)
    if not as_json:
        _print_erased([row for report in reports for row in report["erased"]])


def bound(texts: Sequence[str]) -> Bound:
    """An instant, or offsets by partition; None where there is no text."""
    pairs = [pair for text in texts if (pair := re.fullmatch(r"(\d{1,9}):(\d{1,18})", text))]
    if pairs:
        return {int(pair[1]): int(pair[2]) for pair in pairs}
    return instant(texts[0]) if texts else None


def _replay(service: str, request: ReplayRequest, *, publish_outcomes: bool) -> dict[str, Any]:
    settings = load(ReplaySettings)
    with progress_bar(f"{service} replays") as progress:
        operation = run_replay(
            service, FACTORIES[service], settings, request, publish_outcomes=publish_outcomes, progress=progress
        )
        return {"service": service, **asdict(run_operation(service, operation))}


def _print_erased(erased: list[dict[str, Any]]) -> None:
    """Name the integrations with messages that were passed over, because the account had their history erased."""
    if not erased:
        return
    print_out(table("Passed over, for these integrations are erased", erased[:ROWS]))
    if len(erased) > ROWS:
        print_out(f"and {len(erased) - ROWS} more: --json names all")


def _row(report: dict[str, Any]) -> dict[str, Any]:
    before, after = report["before"], report["after"]
    unchanged = "unchanged" if before == after else "changed"
    results = (f"{count} {name.replace('_', ' ')}" for name, count in report["counts"].items() if count)
    return {
        "service": report["service"],
        "read": report["read"],
        "handled": "0 (dry run)" if report["dry_run"] else report["chosen"],
        "malformed": report["malformed"],
        "results": ", ".join(results) or "-",
        "state": f"{unchanged}: {after['days']} days, {after['usd']} USD" if after else "-",
    }
