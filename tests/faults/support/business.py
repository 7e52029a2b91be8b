"""Accounts that use every command, so that every handler and every step of a loop runs."""

import asyncio
import json
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from contract.fields import History, Plan
from contract.messages import ChangePlan, Command, RemoveIntegration, RenameIntegration, ReplaceCredential
from contract.topics import COMMAND_RESULTS

from tests.support.system import SystemClient, Team
from tests.support.web_app import Program


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
        web_app = Program(self.client, Team(team.team_id, former, team.account_id))
        added = await self._done(web_app, lambda: web_app.add(label="Research"))
        about = {"integration_id": added}

        async def replace_credential() -> Command:
            fields = web_app.about(**about)
            return ReplaceCredential(**fields, sealed_key=await web_app.sealed(fields["command_id"], new))

        async def command(kind: type[Command], **fields: object) -> Command:
            return kind(**web_app.about(**fields))

        await self._done(web_app, lambda: command(RenameIntegration, label="Production", **about))
        await self._done(web_app, replace_credential)
        await self._done(web_app, lambda: command(ChangePlan, plan=Plan.PRO))
        await self._done(web_app, lambda: command(RemoveIntegration, history=History.ERASE, **about))
        self.removed.append(added)

    async def _done(self, web_app: Program, make: Callable[[], Awaitable[Command]]) -> str:
        """Make a command as soon as the connector answers, send it twice, and wait for its result."""
        while True:
            try:
                command = await make()
                break
            except (httpx.TransportError, KeyError):  # it is unavailable, or reports that
                await asyncio.sleep(0.1)
        self.sent.append(command)
        for _ in range(2):
            await web_app.send(command)
        while not (results := [one for one in await web_app.results() if one["command_id"] == command.command_id]):
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
