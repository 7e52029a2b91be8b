"""`grafient rebuild`: rebuild the ledger's tables from its topics, compare them with the live ones, swap on request."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer
from common.replay import ReplaySettings
from common.settings import load
from ledger.operations.rebuild import RebuildReport
from ledger.operations.rebuild import drop as drop_tables
from ledger.operations.rebuild import rebuild as rebuild_tables

from grafient.cli.operations import run_operation
from grafient.cli.output import Json, print_out, show, table
from grafient.cli.progress import progress_bar

DECISIVE = frozenset({"days", "integrations", "erased"})
"""Figures and coverage; revisions and outcomes also depend on the order in which messages arrived, and are only shown."""


def rebuild(
    *,
    swap: Annotated[
        bool,
        typer.Option(
            "--swap",
            help="Replace the live tables by the rebuilt ones, unless a day would be missing; services keep running.",
        ),
    ] = False,
    drop: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEMA", help="Remove ledger_rebuilt, or the ledger_before_… that a swap left; nothing else."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Rebuild the ledger's tables beside the live ones, and compare them row by row; status 1 where figures differ.

    Every run starts from nothing. Nothing is published, xAI is not asked, live traffic continues.
    """
    if swap and drop:
        raise typer.BadParameter("--swap and --drop exclude each other")
    settings = load(ReplaySettings)
    if drop:
        asyncio.run(drop_tables(settings, drop))
        show({"dropped": drop}, f"dropped {drop}", as_json=as_json)
        return
    with progress_bar("ledger rebuilds") as progress:
        report = run_operation("ledger", rebuild_tables(settings, swap=swap, progress=progress), log_level="ERROR")
    data = asdict(report)
    data["given_up"] = data.pop("unreadable")
    show(data, table("Rebuilt", _sizes(report)), as_json=as_json)
    if not as_json:
        _print(report)
    raise typer.Exit(_failed(report))


def _failed(report: RebuildReport) -> bool:
    if report.kept_as or report.refused:
        return bool(report.refused)
    return any(one.of_table in DECISIVE for one in report.differences)


def _print(report: RebuildReport) -> None:
    counts = [{"table": one.of_table, "rows are": one.kind, "count": one.count} for one in report.differences]
    print_out(table("Differences" if counts else "No differences", counts))
    if report.samples:
        samples = [{name: value or "-" for name, value in asdict(one).items()} for one in report.samples]
        print_out(table("The first of them", samples))
    read = sum(report.read.values())
    print_out(f"{read} records read in {report.seconds} s, {report.unreadable} cannot be read")
    if report.kept_as:
        print_out(
            f"Swapped; writes waited {report.stopped_seconds} s. The tables from before are kept as {report.kept_as}."
        )
    else:
        print_out(report.refused or f"Not swapped: compare, then --swap or --drop {report.schema}.")


def _sizes(report: RebuildReport) -> list[dict[str, Any]]:
    return [
        {
            "table": name,
            "live": size["live"],
            "rebuilt": size["rebuilt"],
            "from before the topics": report.taken_over.get(name, 0),
        }
        for name, size in report.sizes.items()
    ]
