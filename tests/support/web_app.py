"""A web app that speaks to the system by commands on the real broker."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from common.crypto.sealed_commands import SealingKey, seal
from contract.cloudevents import headers_of
from contract.fields import Plan
from contract.messages import AddIntegration, Command
from contract.topics import COMMAND_RESULTS, COMMANDS_TOPIC

from tests.support.system import SystemClient, Team
from tests.support.waiting import until


class Program:
    """A web app of the account."""

    def __init__(self, world: SystemClient, team: Team) -> None:
        self._world = world
        self._team = team

    def about(self, **fields: Any) -> dict[str, Any]:
        in_an_hour = datetime.now(UTC) + timedelta(hours=1)
        return {"command_id": str(uuid.uuid4()), "account_id": self._team.account_id, "expires_at": in_an_hour} | fields

    async def sealed(self, command_id: str, key: str) -> str:
        answer = (await self._world.request("GET", "/sealing-key")).json()
        bound = {"environment": answer["environment"], "account_id": self._team.account_id, "command_id": command_id}
        return seal(key, SealingKey.of(answer), **bound)

    async def add(self, **fields: Any) -> AddIntegration:
        about = self.about()
        sealed_key = await self.sealed(about["command_id"], self._team.key)
        wanted = {"team_id": self._team.team_id, "plan": Plan.FREE, "sealed_key": sealed_key}
        return AddIntegration(**about | wanted | fields)

    async def send(self, command: Command, body: bytes | None = None) -> None:
        headers = headers_of(command, event_id=command.command_id, source="/a-web-app", at=datetime.now(UTC))
        encoded = {name: value.encode() for name, value in headers.items()}
        value = body or command.model_dump_json().encode()
        await self._world.publish(COMMANDS_TOPIC.name, self._team.account_id, value, encoded)

    async def results(self) -> list[dict[str, Any]]:
        bodies = [json.loads(record.value) for record in await self._world.records(COMMAND_RESULTS.name)]
        return [one for one in bodies if one["account_id"] == self._team.account_id]

    async def result(self, command: Command) -> dict[str, Any]:
        """The one result of the command, as soon as it is there."""

        async def found() -> list[dict[str, Any]]:
            return [one for one in await self.results() if one["command_id"] == command.command_id]

        results: list[dict[str, Any]] = await until(found)
        return results[0]

    async def done(self, command: Command) -> dict[str, Any]:
        """Send the command twice; answers the one result."""
        await self.send(command)
        await self.send(command)
        return await self.result(command)
