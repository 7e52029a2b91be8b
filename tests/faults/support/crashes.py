"""Services that end at the points of a plan, which `crash_site` carries out inside them."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

import pytest
from common.migrations import SERVICES

from tests.faults.support.load import Load, system_under_load

SITE = Path(__file__).with_name("crash_site")
MOST = 25
"""Points of one step; those of a step with more suspensions are spread evenly over them."""
SEEN_OFTEN = 3
"""So often a step must have been suspended so many times to be expected to be again."""
Point = tuple[str, int, str]


@dataclass
class CrashPlan:
    """The folder that the processes look into."""

    folder: Path

    def settings(self) -> dict[str, str]:
        """What processes need in their environment."""
        (self.folder / "passed").mkdir(parents=True)
        return {"PYTHONPATH": str(SITE), "CRASH_PLAN": str(self.folder)}

    def seen(self) -> dict[str, list[int]]:
        """By step, how often each of its runs was suspended."""
        found: dict[str, list[int]] = defaultdict(list)
        for line in (self.folder / "seen").read_text().splitlines():
            step, suspensions = line.split()
            found[step].append(int(suspensions))
        return found

    def points(self, how: str = "kill") -> list[Point]:
        """Every suspension that was seen often enough."""
        found: list[Point] = []
        for step, runs in self.seen().items():
            often = sorted(runs)[-SEEN_OFTEN] if len(runs) >= SEEN_OFTEN else min(runs)
            found += [(step, at, how) for at in _spread(often)]
        return found

    def arm(self, points: Iterable[Point]) -> None:
        """Processes that start from now on end there."""
        (self.folder / "points.json").write_text(json.dumps(list(points)))

    @contextmanager
    def broken(self, step: str) -> Iterator[None]:
        """The step fails each time."""
        (self.folder / "broken").write_text(step)
        yield
        (self.folder / "broken").unlink()

    def passed(self) -> set[tuple[str, int]]:
        names = (one.name.rsplit("@", 1) for one in (self.folder / "passed").iterdir())
        return {(step, int(at)) for step, at in names}


def _spread(count: int) -> list[int]:
    return sorted({at * count // min(count, MOST) for at in range(min(count, MOST))}) if count else []


@dataclass
class CrashingSystem:
    """Load on services that follow a plan."""

    load: Load
    plan: CrashPlan

    def arm(self, points: Iterable[Point]) -> None:
        """Every service is killed, and its next process ends there."""
        self.plan.arm(points)
        for name in SERVICES:
            with suppress(ProcessLookupError):  # it is being started again
                self.load.client.signal(name, Signals.SIGKILL)


@asynccontextmanager
async def crashing_system(folders: pytest.TempPathFactory) -> AsyncIterator[CrashingSystem]:
    """Two teams on a system of its own."""
    plan = CrashPlan(folders.mktemp("plan"))
    async with system_under_load(folders.mktemp("crashing"), teams=2, **plan.settings()) as load:
        yield CrashingSystem(load, plan)
