"""Ends the service that it is loaded into at the points of a plan. Python loads it where this folder is in PYTHONPATH.

`CRASH_PLAN` names a folder. Without `points.json` in it each step that ended adds a line to `seen`: the step, and how
often it was suspended. With it (`[[step, at, how], …]`) the first run of `step` that is suspended for the `at`th time
(from 0) ends there: `kill` (as by SIGKILL), `hang` (it never continues), `block` (nor does anything else), or `mute`
(the heartbeats of all consumers end, and it continues). Each happens once: a file in `passed` records that it has.

The steps in the file `broken` fail each time, for an unknown reason. A step that does not exist ends the process.
"""

import asyncio
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Generator
from functools import partial, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

STEPS = {
    "connector": (
        "connector.handlers:Handlers.outcomes",
        "connector.commands.intake:Intake.take",
        "connector.outbox.relay:Relay.publish_due",
        "connector.commands.results:Results.publish_due",
        "connector.commands.worker:CommandQueue.claim",
        "connector.commands.worker:CommandQueue.attempt",
        "connector.housekeeping:Housekeeping.clean_up",
        "connector.backlog:Backlog.measure",
    ),
    "syncer": (
        "syncer.handlers:Handlers.integrations",
        "syncer.handlers:Handlers.credentials",
        "syncer.handlers:Handlers.sync_requests",
        "syncer.handlers:Handlers.sync_outcomes",
        "syncer.healer:Healer.round",
        "syncer.request_ends:RequestEnds.round",
        "syncer.housekeeping:Housekeeping.repair_clock_steps",
        "syncer.housekeeping:Housekeeping.count_waiting_for_key",
        "syncer.housekeeping:Housekeeping.count_questions",
        "syncer.housekeeping:Housekeeping.count_unopened",
        "syncer.housekeeping:Housekeeping.delete_expired",
        "syncer.housekeeping:Housekeeping.measure_backlog",
        "syncer.attempt:Attempt.claim",
        "syncer.attempt:Attempt.run",
    ),
    "ledger": ("ledger.handlers:Handlers.costs", "ledger.handlers:Handlers.integrations"),
}
"""Every handler of a message, and every step of a loop."""


class Plan:
    """What is to happen in this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        points = folder / "points.json"
        self._counts = not points.exists()
        self._hows: dict[tuple[str, int], str] = {}
        if not self._counts:
            self._hows = {(step, at): how for step, at, how in json.loads(points.read_text())}

    def ended(self, step: str, suspensions: int) -> None:
        if self._counts:
            with (self._folder / "seen").open("a") as seen:
                seen.write(f"{step} {suspensions}\n")

    def is_broken(self, step: str) -> bool:
        broken = self._folder / "broken"
        return broken.exists() and step in broken.read_text()

    def how_at(self, step: str, at: int) -> str | None:
        """What happens here, where it has not happened yet."""
        how = self._hows.pop((step, at), None)
        if how is None:
            return None
        try:
            (self._folder / "passed" / f"{step}@{at}").touch(exist_ok=False)
        except FileExistsError:
            return None
        return how


class Watched:
    """Awaits a coroutine, and looks into the plan each time it is suspended."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], step: str, plan: Plan) -> None:
        self._coroutine = coroutine
        self._step = step
        self._plan = plan

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._coroutine.__await__()
        go_on, suspensions = partial(next, inner), 0
        while True:
            try:
                waits_for = go_on()
            except StopIteration as end:
                self._plan.ended(self._step, suspensions)
                return end.value
            how = self._plan.how_at(self._step, suspensions)
            suspensions += 1
            try:
                if how is not None:
                    yield from _happens(how)
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 - the awaited coroutine handles it
                go_on = partial(inner.throw, error)
            else:
                go_on = partial(inner.send, sent)


def _happens(how: str) -> Generator[Any, Any, None]:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "block":
        time.sleep(3600)
    if how == "mute":
        for task in asyncio.all_tasks():
            if "_heartbeat_routine" in repr(task.get_coro()):
                task.cancel()
        return
    yield from asyncio.get_running_loop().create_future().__await__()


def _watch(step: str, plan: Plan) -> None:
    module, name = step.split(":")
    owner, method = name.split(".")
    of = getattr(import_module(module), owner)
    real: Callable[..., Coroutine[Any, Any, Any]] = getattr(of, method)

    @wraps(real)
    async def watched(*args: Any, **named: Any) -> Any:
        if plan.is_broken(step):
            raise LookupError
        return await Watched(real(*args, **named), step, plan)

    setattr(of, method, watched)


if folder := os.environ.get("CRASH_PLAN"):
    try:
        for one in STEPS.get(sys.orig_argv[-1], ()):
            _watch(one, Plan(Path(folder)))
    except BaseException:  # noqa: BLE001 - Python would print a line and start the service without its steps
        traceback.print_exc()
        os._exit(os.EX_SOFTWARE)
