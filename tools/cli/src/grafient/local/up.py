"""`grafient up`: the whole system on this machine, until Ctrl-C."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from grafient.cli.output import Json, show, stderr
from grafient.local.fetch import fetch_visibly
from grafient.local.folder import PORTS, in_use, ports_of
from grafient.local.jars import present
from grafient.local.system import Address, System

Data = Annotated[
    Path | None, typer.Option(help="Keep everything in this folder; without it, all is removed at the end.")
]
Port = Annotated[
    int | None,
    typer.Option(
        min=1024,
        max=65000,
        help=f"The first of {len(PORTS)} ports: {', '.join(PORTS)}. None: those of the start before, or free ones.",
    ),
]


def up(
    *,
    data: Data = None,
    port: Port = None,
    simulator: Annotated[bool, typer.Option("--simulator/--no-simulator", help="Stand in for xAI.")] = True,
    as_json: Json = False,
) -> None:
    """Run Postgres, Kafka, the three services, the cron emitter and the simulator here, until Ctrl-C.

    XAI_BASE_URL in the environment replaces the simulator.
    """
    xai_url = os.environ.get("XAI_BASE_URL") or (None if simulator else "https://management-api.x.ai")
    asyncio.run(_up(data, port, xai_url, as_json=as_json))


async def _up(data: Path | None, port: int | None, xai_url: str | None, *, as_json: bool) -> None:
    async with running(data, port, xai_url) as (address, ended):
        _report(f"costs are read from {address.xai_url}, {'xAI' if xai_url else 'the simulator'}")
        show(asdict(address), _rendered(address), as_json=as_json)
        await ended.wait()


@asynccontextmanager
async def running(
    data: Path | None, port: int | None, xai_url: str | None
) -> AsyncIterator[tuple[Address, asyncio.Event]]:
    """Where the system is, and the event of Ctrl-C or SIGTERM; everything has ended when the block has.

    Raises UserError where another process uses the folder, or a port is taken.
    """
    if not present():
        fetch_visibly()
    with _folder(data) as folder, in_use(folder):
        ports = ports_of(folder, port)
        system = System(folder, _report, xai_url=xai_url, durable=data is not None, ports=ports)
        try:
            ended = _end_requested()
            if address := await _unless(ended, system.start()):
                yield address, ended
            else:
                raise typer.Exit(1)
        finally:
            await system.stop()


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    """`data`, or a folder that is removed at the end."""
    if data is not None:
        yield data.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="grafient-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end_requested() -> asyncio.Event:
    ended = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, ended.set)
    return ended


async def _unless(ended: asyncio.Event, starting: Coroutine[Any, Any, Address]) -> Address | None:
    """What `starting` gives; None where `ended` was set before."""
    start, end = asyncio.create_task(starting), asyncio.create_task(ended.wait())
    await asyncio.wait((start, end), return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if not start.done():
        start.cancel()
    result = (await asyncio.gather(start, return_exceptions=True))[0]
    if isinstance(result, Exception):
        raise result
    return result if isinstance(result, Address) else None


def _report(text: str) -> None:
    stderr.print(f"  {text}", style="dim", highlight=False)


def _rendered(address: Address) -> Table:
    table = Table(title="The system is up; Ctrl-C ends it", title_justify="left", show_header=False)
    for name, value in asdict(address).items():
        text = " ".join(f"{one}={pid}" for one, pid in value.items()) if isinstance(value, dict) else value
        table.add_row(name.replace("_", " "), text)
    return table
