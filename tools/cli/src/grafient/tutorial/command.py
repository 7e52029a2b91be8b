"""`grafient tutorial`: six calls in a system of their own, each with what one should see."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from common.errors import UserError

from grafient.cli.output import Json, show, stdout
from grafient.local.system import Address
from grafient.local.up import running
from grafient.tutorial.steps import STEPS, VARIES, Call, Step

DEADLINE = 60.0
LOOK_EVERY = 0.05
ABSENT = object()


@dataclass(frozen=True, slots=True)
class Answered:
    """A call that was made, as a command for a shell, and what its answer contains."""

    call: str
    status: int
    shows: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Done:
    """A step, with the answers to its calls."""

    number: int
    title: str
    calls: tuple[Answered, ...]
    sees: str


def tutorial(*, as_json: Json = False) -> None:
    """Walk through six steps, from a wrong key to a forced sync, on a system that is started for it and removed.

    Each shows its HTTP calls, their answers, and what one should see. docs/tutorial.md has the same calls to paste.
    """
    asyncio.run(_tutorial(as_json=as_json))


async def _tutorial(*, as_json: bool) -> None:
    done = []
    async with running(None, None, None) as (address, _ended), httpx.AsyncClient(trust_env=False, timeout=20) as http:
        async for one in steps(http, address):
            done.append(asdict(one))
            if not as_json:
                _print(one)
    if as_json:
        show(done, "", as_json=True)


async def steps(http: httpx.AsyncClient, address: Address) -> AsyncIterator[Done]:
    """Take one step after the other; raises UserError where an answer is another one than it should be."""
    day = datetime.now(UTC).date() - timedelta(days=3)
    variables = {"DAY": str(day), "TOKEN": address.token}
    variables |= {name.upper(): getattr(address, name) for name in ("connector_url", "ledger_url", "xai_url")}
    for number, step in enumerate(STEPS, 1):
        calls = [await _answered(http, step, call, variables) for call in step.calls]
        yield Done(number, step.title, tuple(calls), step.sees)


async def _answered(http: httpx.AsyncClient, step: Step, call: Call, variables: dict[str, str]) -> Answered:
    """Make the call, a GET until its answer is the right one; `variables` get what it keeps."""
    answer = await _sent(http, call, variables)
    with suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE):
            while call.method == "GET" and not _is_right(call, answer):
                await asyncio.sleep(LOOK_EVERY)
                answer = await _sent(http, call, variables)
    if not _is_right(call, answer):
        raise UserError(f"{step.title}: {call.url} answered {answer.status_code} {answer.text}", "run it again")
    found = answer.json() if answer.content else None
    variables |= {name: str(_at(found, path)) for name, path in call.keeps.items()}
    return Answered(call.curl(), answer.status_code, {path: _at(found, path) for path in call.shows})


async def _sent(http: httpx.AsyncClient, call: Call, variables: Mapping[str, str]) -> httpx.Response:
    url, body = call.filled_in(variables)
    headers = {"Authorization": f"Bearer {variables['TOKEN']}"} if call.is_ours else {}
    headers |= {"content-type": "application/json"} if body is not None else {}
    return await http.request(call.method, url, content=body, headers=headers)


def _is_right(call: Call, answer: httpx.Response) -> bool:
    if answer.status_code != call.status:
        return False
    found = answer.json() if answer.content else None
    values = {path: _at(found, path) for path in call.shows}
    return all(
        values[path] not in {ABSENT, None} if value is VARIES else values[path] == value
        for path, value in call.shows.items()
    )


def _at(found: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    """The value at `days.0.usd`, or ABSENT."""
    for name in path.split("."):
        try:
            found = found[int(name) if isinstance(found, list) else name]
        except (IndexError, KeyError, TypeError):
            return ABSENT
    return found


def _print(done: Done) -> None:
    stdout.print(f"\n[bold]{done.number}. {done.title}[/bold]", highlight=False)
    for one in done.calls:
        stdout.print(one.call, style="cyan", highlight=False, markup=False, soft_wrap=True)
        stdout.print(f"→ {one.status}", highlight=False)
        for path, value in one.shows.items():
            stdout.print(f"  {path}: {json.dumps(value)}", highlight=False, markup=False, soft_wrap=True)
    stdout.print(f"You should see: {done.sees}", style="dim", highlight=False, markup=False)
