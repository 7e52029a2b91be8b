"""A web app that uses the system by commands on the real broker."""

import json
from typing import Any, TypeVar

from common.crypto.sealed_commands import SealingKey, seal
from contract.fields import Plan
from contract.messages import AddIntegration, Command, ReplaceCredential
from contract.topics import COMMAND_RESULTS, COMMANDS_TOPIC

from tests.support.messages import command_fields, wire
from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.xai import Team

C = TypeVar("C", bound=Command)


class WebApp:
    """A web app of one account."""

    def __init__(self, client: SystemClient, team: Team) -> None:
        self._client = client
        self._team = team

    def command(self, kind: type[C], **fields: Any) -> C:
        return kind(**command_fields(account_id=self._team.account_id, **fields))

    async def add(self, **fields: Any) -> AddIntegration:
        wanted = {"team_id": self._team.team_id, "plan": Plan.FREE} | fields
        return await self._sealed(AddIntegration, self._team.key, **wanted)

    async def replace_credential(self, integration_id: str, key: str) -> ReplaceCredential:
        return await self._sealed(ReplaceCredential, key, integration_id=integration_id)

    async def _sealed(self, kind: type[C], key: str, **fields: Any) -> C:
        """A command with the key sealed to the connector's public key."""
        sealing_key = (await self._client.request("GET", "/sealing-key")).json()
        fields = command_fields(account_id=self._team.account_id, **fields)
        bound = {name: fields[name] for name in ("account_id", "command_id")}
        sealed_key = seal(key, SealingKey.of(sealing_key), environment=sealing_key["environment"], **bound)
        return kind(**fields, sealed_key=sealed_key)

    async def send(self, command: Command, body: bytes | None = None) -> None:
        value, headers = wire(command, event_id=command.command_id)
        await self._client.publish(COMMANDS_TOPIC.name, self._team.account_id, body or value, dict(headers))

    async def results(self) -> list[dict[str, Any]]:
        bodies = [json.loads(record.value) for record in await self._client.records(COMMAND_RESULTS.name)]
        return [one for one in bodies if one["account_id"] == self._team.account_id]

    async def results_of(self, command: Command) -> list[dict[str, Any]]:
        return [one for one in await self.results() if one["command_id"] == command.command_id]

    async def result(self, command: Command) -> dict[str, Any]:
        """Wait for the one result of the command."""
        results: list[dict[str, Any]] = await until(lambda: self.results_of(command))
        return results[0]

    async def done(self, command: Command) -> dict[str, Any]:
        """Send the command twice; return its one result."""
        await self.send(command)
        await self.send(command)
        return await self.result(command)
