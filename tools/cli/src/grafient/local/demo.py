"""`grafient demo`: connect sample teams, wait for their costs in Postgres, show where to look at them, and how long it took."""

import asyncio
import os
import sys
import time
import webbrowser
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from contract.money import parse_usd, plain, total
from rich.table import Table
from simulator.teams import PROTOTYPE_NEXT_KEY

from grafient.cli.output import stderr, stdout
from grafient.local.sample import REFUSED, Sample, Shown
from grafient.local.system import Address
from grafient.local.up import Data, Port, running


def demo(
    *,
    leave: Annotated[bool, typer.Option("--exit", help="End after the table instead of staying up.")] = False,
    data: Data = None,
    port: Port = None,
) -> None:
    """Start everything, connect three sample teams, and show their costs: in a browser, and as a table.

    The browser is opened where there is a desktop.
    """
    asyncio.run(_demo(data, port, time.perf_counter(), leave=leave))


async def _demo(data: Path | None, port: int | None, started: float, *, leave: bool) -> None:
    async with running(data, port, None) as (address, ended):
        headers = {"Authorization": f"Bearer {address.token}"}
        async with httpx.AsyncClient(headers=headers, timeout=20, trust_env=False) as http:
            shown = await Sample(http, address).show()
        if not leave:
            _open(address.console_url)
        _print(shown, time.perf_counter() - started)
        if not leave:
            _print_remarks(address)
            await ended.wait()


def _open(url: str) -> None:
    """The link is printed on one line, so that a terminal makes it one that can be clicked."""
    stdout.print("The console, as a customer sees it (this link opens it once, within 15 minutes):", highlight=False)
    stdout.print(url, style="bold", highlight=False, soft_wrap=True)
    if has_desktop() and webbrowser.open(url):
        stderr.print("  it is opening in your browser", style="dim")


def has_desktop() -> bool:
    """Elsewhere a browser would open in the terminal."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _print(shown: Shown, took: float) -> None:
    first, last = shown.days[0]["day"], shown.days[-1]["day"]
    stdout.print(_table(shown.days))
    _print_time(f"{len(shown.days)} days of costs ({first} to {last}) were in Postgres", shown.connected_in)
    _print_time("Force Sync was completed", shown.synced_in)
    _print_time("All of this was there", took)


def _print_remarks(address: Address) -> None:
    stderr.print(f"xAI refuses the key of {REFUSED} now: its card turns red within two minutes", highlight=False)
    stderr.print(f"  and {PROTOTYPE_NEXT_KEY} replaces it", highlight=False)
    stderr.print(f"connector {address.connector_url}, ledger {address.ledger_url}; Ctrl-C ends it")
    stderr.print(f"token {address.token}", highlight=False)


def _table(days: Sequence[Mapping[str, Any]]) -> Table:
    amounts: dict[str, list[Decimal]] = defaultdict(list)
    seen: dict[str, set[str]] = defaultdict(set)
    for day in days:
        for cost in day["models"]:
            amounts[cost["model"]].append(parse_usd(cost["usd"]))
            seen[cost["model"]].add(day["day"])
    totals = {model: total(found) for model, found in amounts.items()}
    table = Table(title="What each model cost in 30 days, from Postgres", title_justify="left", show_footer=True)
    table.add_column("model", footer="total")
    table.add_column("days", justify="right")
    table.add_column("USD", justify="right", footer=plain(total(totals.values())))
    for model, usd in sorted(totals.items(), key=lambda one: -one[1]):
        table.add_row(model, str(len(seen[model])), plain(usd))
    return table


def _print_time(what: str, seconds: float) -> None:
    stdout.print(f"{what} after [bold]{seconds:.2f} s[/bold]", highlight=False)
