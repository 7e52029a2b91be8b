"""`grafient demo`: connect a sample team, wait for its costs in Postgres, show them and the time it took."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar

import httpx
import typer
from contract.money import parse_usd, plain, total
from rich.table import Table
from simulator.teams import DEMO_KEY, DEMO_TEAM

from grafient.cli.output import stderr, stdout
from grafient.local.errors import StartError
from grafient.local.system import Address
from grafient.local.up import Data, Port, running

ACCOUNT = "demo"
DEADLINE = 60.0
T = TypeVar("T")


def demo(
    *,
    leave: Annotated[bool, typer.Option("--exit", help="End after the table instead of staying up.")] = False,
    data: Data = None,
    port: Port = None,
) -> None:
    """Start everything, connect a sample team, and show the costs of each model, read from Postgres."""
    asyncio.run(_demo(data, port, leave=leave))


async def _demo(data: Path | None, port: int | None, *, leave: bool) -> None:
    async with running(data, port, None) as (address, ended):
        headers = {"Authorization": f"Bearer {address.token}"}
        async with httpx.AsyncClient(headers=headers, timeout=20, trust_env=False) as http:
            await _show(http, address)
        if not leave:
            stderr.print(f"connector {address.connector_url}, ledger {address.ledger_url}; Ctrl-C ends it")
            stderr.print(f"token {address.token}", highlight=False)
            await ended.wait()


async def _show(http: httpx.AsyncClient, address: Address) -> None:
    integrations = f"{address.connector_url}/v1/accounts/{ACCOUNT}/integrations"
    costs_url = f"{address.ledger_url}/v1/accounts/{ACCOUNT}/costs"
    started = time.perf_counter()
    integration = await _connected(http, integrations)
    costs = await _until(lambda: _costs(http, costs_url), lambda got: all(day["covered"] for day in got["days"]))
    connected_in = time.perf_counter() - started
    synced_in = await _force_sync(http, f"{integrations}/{integration['integration_id']}")
    stdout.print(_table(costs["days"]))
    days = costs["days"]
    _print_time(f"{len(days)} days of costs ({days[0]['day']} to {days[-1]['day']}) were in Postgres", connected_in)
    _print_time("Force Sync was completed", synced_in)


async def _connected(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    body = {"team_id": DEMO_TEAM, "management_key": DEMO_KEY, "plan": "free", "label": "Sample team"}
    answer = await http.post(url, json=body)
    if answer.status_code == httpx.codes.CONFLICT:
        return {"integration_id": answer.json()["integration_id"]}
    if answer.status_code != httpx.codes.CREATED:
        raise StartError(f"the sample team could not be connected: {answer.text}")
    connected: dict[str, Any] = answer.json()
    return connected


async def _force_sync(http: httpx.AsyncClient, url: str) -> float:
    started = time.perf_counter()
    request_id = (await http.post(f"{url}/sync", json={"trigger": "force"})).raise_for_status().json()["request_id"]

    async def syncs() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await http.get(f"{url}/syncs")).raise_for_status().json()["syncs"]
        return found

    await _until(syncs, lambda found: any(request_id in one["request_ids"] for one in found))
    return time.perf_counter() - started


async def _costs(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    costs: dict[str, Any] = (await http.get(url)).raise_for_status().json()
    return costs


async def _until(ask: Callable[[], Awaitable[T]], enough: Callable[[T], bool]) -> T:
    try:
        async with asyncio.timeout(DEADLINE):
            while not enough(got := await ask()):
                await asyncio.sleep(0.02)
            return got
    except TimeoutError:
        raise StartError(f"the costs did not arrive within {DEADLINE:.0f} s: see the logs") from None


def _table(days: list[Mapping[str, Any]]) -> Table:
    by_model: dict[str, list[Decimal]] = {}
    for day in days:
        for cost in day["models"]:
            by_model.setdefault(cost["model"], []).append(parse_usd(cost["usd"]))
    totals = {model: total(amounts) for model, amounts in by_model.items()}
    table = Table(title="What each model cost in 30 days, from Postgres", title_justify="left", show_footer=True)
    table.add_column("model", footer="total")
    table.add_column("days", justify="right")
    table.add_column("USD", justify="right", footer=plain(total(totals.values())))
    for model, usd in sorted(totals.items(), key=lambda one: -one[1]):
        table.add_row(model, str(len(by_model[model])), plain(usd))
    return table


def _print_time(what: str, seconds: float) -> None:
    stdout.print(f"{what} after [bold]{seconds:.2f} s[/bold]", highlight=False)
