"""The steps at which services are killed: none is missing, and none has another name."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import connector.handlers
import ledger.handlers
import syncer.handlers
from common.migrations import SERVICES

from tests.faults.support.crash_site.sitecustomize import STEPS
from tests.faults.support.crashes import SITE, CrashPlan

ENDLESS = {"connector.events.subscribers:Subscribers._listen"}
"""A step that never ends, and changes nothing."""
QUEUES = {
    "connector.commands.worker:CommandQueue": ("claim", "attempt"),
    "syncer.attempt:Attempt": ("claim", "run"),
}
"""What the leased workers call."""
ROOT = Path(__file__).parents[2]


def _name(method: Callable[..., Any]) -> str:
    return f"{method.__module__}:{method.__qualname__}"


def _handlers() -> Iterator[Callable[..., Any]]:
    """Every handler that consumers call: of a topic in both tables the one for batches."""
    for of_topic in connector.handlers.INTAKE.values():
        yield from of_topic.values()
    for module in (connector.handlers, syncer.handlers, ledger.handlers):
        yield from module.BATCH_HANDLERS.values()
        for topic, of_topic in module.HANDLERS.items():
            yield from () if topic in module.BATCH_HANDLERS else of_topic.values()


def _loop_steps(service: str) -> Iterator[str]:
    """The third argument of every `Loop(…)` in the service's source."""
    root = ROOT / "services" / service / "src"
    for path in root.rglob("*.py"):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        for owner in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)):
            for call in (node for node in ast.walk(owner) if isinstance(node, ast.Call)):
                if isinstance(call.func, ast.Name) and call.func.id == "Loop":
                    yield f"{module}:{owner.name}.{ast.unparse(call.args[2]).removeprefix('self.')}"


def _expected() -> Iterable[str]:
    yield from map(_name, _handlers())
    for service in SERVICES:
        yield from set(_loop_steps(service)) - ENDLESS
    for queue, methods in QUEUES.items():
        yield from (f"{queue}.{method}" for method in methods)


def test_every_handler_and_every_step_of_a_loop_is_one() -> None:
    assert sorted(step for steps in STEPS.values() for step in steps) == sorted(set(_expected()))


def test_a_step_that_does_not_exist_ends_the_process(tmp_path: Path) -> None:
    site, first = tmp_path / "sitecustomize.py", STEPS["ledger"][0]
    site.write_text((SITE / site.name).read_text().replace(first, f"{first}_gone"))
    env = os.environ | CrashPlan(tmp_path / "plan").settings() | {"PYTHONPATH": str(tmp_path)}

    argv = (sys.executable, "-m", "ledger")
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - our own module

    assert ended.returncode == os.EX_SOFTWARE
    assert f"{first.rsplit('.', 1)[1]}_gone" in ended.stderr
