"""Business that passes every handler and every step, while processes end at the points of a plan (`crash_site`)."""

import asyncio
import json
import os
import signal
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from common.migrations import SERVICES
from contract.fields import History, Plan
from contract.messages import ChangePlan, Command, RemoveIntegration, RenameIntegration, ReplaceCredential
from contract.topics import COMMAND_RESULTS

from tests.faults.support.load import Load, load_on
from tests.support.system import SystemClient, Team
from tests.support.web_app import Program

SITE = Path(__file__).with_name("crash_site")
MOST = 25
"""Points of one step; where it has more suspensions they are spread evenly over them."""
SEEN_OFTEN = 3
"""So often a step must have come so far that it will do so again."""
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
        """By step, how often each of its passages was suspended."""
        found: dict[str, list[int]] = defaultdict(list)
        for line in (self.folder / "seen").read_text().splitlines():
            step, suspensions = line.split()
            found[step].append(int(suspensions))
        return found

    def points(self, how: str = "kill") -> list[Point]:
        """Every suspension that was seen often enough."""
        found: list[Point] = []
        for step, passages in self.seen().items():
            often = sorted(passages)[-SEEN_OFTEN] if len(passages) >= SEEN_OFTEN else min(passages)
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
class Business:
    """Accounts that connect, rename, re-key, grow and remove an integration by commands, again and again."""

    world: SystemClient
    sent: list[Command] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self, accounts: int = 3) -> AsyncIterator[None]:
        running = [asyncio.create_task(self._lives()) for _ in range(accounts)]
        try:
            yield
        finally:
            for one in running:
                one.cancel()
            for error in await asyncio.gather(*running, return_exceptions=True):
                if isinstance(error, Exception):
                    raise error

    async def _lives(self) -> None:
        while True:
            await self._life()

    async def _life(self) -> None:
        former, new = (f"fake-key-{uuid.uuid4().hex}" for _ in range(2))
        team = await self.world.team(keys=[{"key": former}, {"key": new}])
        program = Program(self.world, Team(team.team_id, former, team.account_id))
        added = await self._done(program, lambda: program.add(label="Research"))
        about = {"integration_id": added}

        async def replaced() -> Command:
            said = program.about(**about)
            return ReplaceCredential(**said, sealed_key=await program.sealed(said["command_id"], new))

        async def wish(kind: type[Command], **fields: object) -> Command:
            return kind(**program.about(**fields))

        await self._done(program, lambda: wish(RenameIntegration, label="Production", **about))
        await self._done(program, replaced)
        await self._done(program, lambda: wish(ChangePlan, plan=Plan.PRO))
        await self._done(program, lambda: wish(RemoveIntegration, history=History.ERASE, **about))
        self.removed.append(added)

    async def _done(self, program: Program, make: Callable[[], Awaitable[Command]]) -> str:
        """Make a command as soon as the connector answers, send it twice, and wait for its result."""
        while True:
            try:
                command = await make()
                break
            except (httpx.TransportError, KeyError):  # it is away, or says so
                await asyncio.sleep(0.1)
        self.sent.append(command)
        for _ in range(2):
            await program.send(command)
        while not (told := [one for one in await program.results() if one["command_id"] == command.command_id]):
            await asyncio.sleep(0.5)  # each kill may delay it: the test's own limit bounds this
        assert "code" not in told[0], told
        return str(told[0]["integration_id"])

    async def unanswered(self) -> list[str]:
        """Commands with no result, or with more than one."""
        told: dict[str, set[bytes]] = defaultdict(set)
        for record in await self.world.records(COMMAND_RESULTS.name):
            told[json.loads(record.value)["command_id"]].add(record.value)
        return [command.command_id for command in self.sent if len(told[command.command_id]) != 1]

    async def left_behind(self) -> int:
        """Days of integrations that were removed together with their history."""
        ((days,),) = await self.world.rows(
            "SELECT count(*) FROM ledger.days WHERE integration_id = ANY(%s::uuid[])", self.removed
        )
        return int(days)


@dataclass
class Crashing:
    """A system whose services look into a plan."""

    load: Load
    business: Business
    plan: CrashPlan

    def arm(self, points: Iterable[Point]) -> None:
        """Every service is started again, and ends there from now on."""
        self.plan.arm(points)
        for name in SERVICES:
            with suppress(ProcessLookupError):  # it is just being started again
                os.kill(self.load.world.system.address().pids[name], signal.SIGKILL)


@asynccontextmanager
async def crashing_system(folders: pytest.TempPathFactory) -> AsyncIterator[Crashing]:
    """A system of its own with two teams, whose services tell where they wait."""
    plan = CrashPlan(folders.mktemp("plan"))
    async with load_on(folders.mktemp("crashing"), teams=2, **plan.settings()) as load:
        yield Crashing(load, Business(load.world), plan)
