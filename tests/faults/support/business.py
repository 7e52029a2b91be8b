"""Accounts that use every command, so that every handler and every step of a loop runs."""

import asyncio
import json
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import httpx
from contract.fields import History, Plan
from contract.messages import ChangePlan, Command, RemoveIntegration, RenameIntegration
from contract.topics import COMMAND_RESULTS

from tests.support.system import SystemClient
from tests.support.web_app import WebApp
from tests.support.xai import Team

C = TypeVar("C", bound=Command)


@dataclass
class Business:
    """Accounts that connect, rename, re-key, upgrade and remove an integration by commands, again and again."""

    client: SystemClient
    sent: list[Command] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self, accounts: int = 3) -> AsyncIterator[None]:
        running = [asyncio.create_task(self._repeat()) for _ in range(accounts)]
        try:
            yield
        finally:
            for one in running:
                one.cancel()
            for error in await asyncio.gather(*running, return_exceptions=True):
                if isinstance(error, Exception):
                    raise error

    async def _repeat(self) -> None:
        while True:
            await self._account()

    async def _account(self) -> None:
        former, new = (f"fake-key-{uuid.uuid4().hex}" for _ in range(2))
        team = await self.client.team(keys=[{"key": former}, {"key": new}])
        web_app = WebApp(self.client, Team(team.team_id, former, team.account_id))
        added = await self._done(web_app, await self._made(lambda: web_app.add(label="Research")))
        await self._done(web_app, web_app.command(RenameIntegration, integration_id=added, label="Production"))
        await self._done(web_app, await self._made(lambda: web_app.replace_credential(added, new)))
        await self._done(web_app, web_app.command(ChangePlan, plan=Plan.PRO))
        await self._done(web_app, web_app.command(RemoveIntegration, integration_id=added, history=History.ERASE))
        self.removed.append(added)

    async def _made(self, make: Callable[[], Awaitable[C]]) -> C:
        """Make the command as soon as the connector returns its sealing key."""
        while True:
            try:
                return await make()
            except (httpx.TransportError, KeyError):  # it is unavailable, or reports that
                await asyncio.sleep(0.1)

    async def _done(self, web_app: WebApp, command: Command) -> str:
        """Send the command twice, and wait for its result."""
        self.sent.append(command)
        for _ in range(2):
            await web_app.send(command)
        while not (results := await web_app.results_of(command)):
            await asyncio.sleep(0.5)  # each kill may delay it: the test's own timeout bounds this
        assert "code" not in results[0], results
        return str(results[0]["integration_id"])

    async def without_one_result(self) -> list[str]:
        """Commands with no result, or with more than one."""
        results: dict[str, set[bytes]] = defaultdict(set)
        for record in await self.client.records(COMMAND_RESULTS.name):
            results[json.loads(record.value)["command_id"]].add(record.value)
        return [command.command_id for command in self.sent if len(results[command.command_id]) != 1]

    async def days_left(self) -> int:
        """Days of integrations that were removed together with their history."""
        ((days,),) = await self.client.rows(
            "SELECT count(*) FROM ledger.days WHERE integration_id = ANY(%s::uuid[])", self.removed
        )
        return int(days)
