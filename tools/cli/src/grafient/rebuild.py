"""`grafient rebuild`: the ledger's tables anew from its topics, compared with those that live, swapped only when asked."""

from typing import Annotated, Any

import typer

from grafient.cli.output import Json, console, show, table
from grafient.replay import entry_point

DECISIVE = frozenset({"days", "integrations", "erased"})
"""Figures and coverage; revisions and outcomes also depend on the order in which messages came, and are only shown."""
FIGURES = frozenset({"live", "rebuilt", "count", "from before the topics"})


def rebuild(
    *,
    swap: Annotated[
        bool,
        typer.Option(
            "--swap",
            help="Put the rebuilt tables in the living ones' place, unless a day would be missing; services go on.",
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
    """Make the ledger's tables anew beside the living ones, and compare them row by row; status 1 where figures differ.

    Every run begins anew. Nothing is published, xAI is not asked, live traffic goes on.
    """
    if swap and drop:
        raise typer.BadParameter("--swap and --drop exclude each other")
    arguments = [*(["--swap"] if swap else []), *(["--drop", drop] if drop else [])]
    report = entry_point("ledger.operations.rebuild", "ledger rebuilds", arguments)
    if drop:
        show(report, f"dropped {drop}", as_json=as_json)
        return
    show(report, table("Rebuilt", _sizes(report)), as_json=as_json)
    if not as_json:
        _print(report)
    raise typer.Exit(_failed(report))


def _failed(report: dict[str, Any]) -> bool:
    if report["kept_as"] or report["refused"]:
        return bool(report["refused"])
    return any(one["of_table"] in DECISIVE for one in report["differences"])


def _print(report: dict[str, Any]) -> None:
    counts = [
        {"table": one["of_table"], "rows are": one["kind"], "count": str(one["count"])} for one in report["differences"]
    ]
    console.print(table("Differences" if counts else "No differences", counts, FIGURES))
    if report["samples"]:
        console.print(
            table("The first of them", [{name: one[name] or "-" for name in one} for one in report["samples"]])
        )
    read = sum(report["read"].values())
    console.print(f"{read} records read in {report['seconds']} s, {report['given_up']} cannot be read")
    if report["kept_as"]:
        console.print(
            f"Swapped; writes waited {report['stopped_seconds']} s. The tables from before are kept as {report['kept_as']}."
        )
    console.print(
        report["refused"]
        or ("" if report["kept_as"] else f"Not swapped: compare, then --swap or --drop {report['schema']}.")
    )


def _sizes(report: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "table": name,
            "live": str(size["live"]),
            "rebuilt": str(size["rebuilt"]),
            "from before the topics": str(report["taken_over"].get(name, 0)),
        }
        for name, size in report["sizes"].items()
    ]
