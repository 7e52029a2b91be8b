"""Connectors that do commands, side by side on one database; each key says by its name what xAI answers."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from aiokafka import ConsumerRecord
from common.crypto.sealed_commands import seal
from common.crypto.sealing import Sealer
from common.watchdog import Watchdog
from connector.commands.handlers import Act, Commands, table
from connector.commands.intake import Intake
from connector.commands.opening import SealedCommandOpener
from connector.commands.results import Results
from connector.commands.worker import Worker
from connector.connection_check import ConnectionTest
from connector.integrations import Life
from contract.cloudevents import Event, MalformedError, decode
from contract.fields import History, Plan
from contract.messages import (
    AddIntegration,
    ChangePlan,
    Command,
    Message,
    RemoveIntegration,
    RenameIntegration,
    ReplaceCredential,
)
from contract.topics import COMMAND_RESULTS, COMMANDS_TOPIC
from xai_usage import client

from tests.connector.support.connector import ACCOUNT, KEYRING, NOW, TEAM, Published, World

REFUSED_KEY = "obviously-fake-refused-key"
SLOW_KEY = "obviously-fake-slow-key"
PLAIN_KEY = "obviously-fake-key-in-the-clear"
OTHER = "account-2"
DEADLINE = 20.0


async def no_pause(_seconds: float) -> None:
    await asyncio.sleep(0)


class Process:
    """What one connector does about commands."""

    def __init__(self, world: World, acts: Mapping[type[Message], Act], name: str) -> None:
        self.watchdog = Watchdog()
        self.results = Results(world.database, world.publisher, self.watchdog)  # type: ignore[arg-type]  # it speaks the same
        self.worker = Worker(
            world.database,
            acts,
            self.results.wake,
            self.watchdog,
            in_flight=4,
            instance_name=name,
            pause=no_pause,
        )
        self.intake = Intake(world.database, self.worker.wake, self.results.wake)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(loop()) for loop in (self.worker.run, self.results.run)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class Office:
    """Commands come in, results go out."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        path = folder / "sealing_key.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"current": "one", "keys": {"one": b64encode(bytes(range(32))).decode()}}))
        self.opener = SealedCommandOpener(path, "test")
        self.asked: list[str] = []
        self.answer_slow_ones = asyncio.Event()
        test = ConnectionTest(client("https://xai.test", transport=httpx.MockTransport(self._answer)), lambda: NOW)
        self.life = Life(world.database, test, Sealer(KEYRING, "test"), lambda: None)
        self.acts = table(Commands(self.life, self.opener))
        self.first = self.process("first")

    def process(self, name: str = "", acts: Mapping[type[Message], Act] | None = None) -> Process:
        return Process(self.world, acts or self.acts, name)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        self.asked.append(key)
        if key == SLOW_KEY:
            await self.answer_slow_ones.wait()

        async def body() -> AsyncIterator[bytes]:
            yield b"{}"

        return httpx.Response(401 if key == REFUSED_KEY else 200, content=body())

    # what programs send

    def sealed(self, key: str, command_id: str, account_id: str = ACCOUNT) -> str:
        return seal(key, self.opener.recipient(), environment="test", account_id=account_id, command_id=command_id)

    def add(self, command_id: str, key: str = "obviously-fake-good-key", **changes: Any) -> AddIntegration:
        account_id = changes.get("account_id", ACCOUNT)
        fields = {
            "team_id": TEAM,
            "label": None,
            "plan": Plan.FREE,
            "sealed_key": self.sealed(key, command_id, account_id),
        }
        return AddIntegration(**about(command_id) | fields | changes)

    def replace(self, command_id: str, integration_id: Any, key: str, **changes: Any) -> ReplaceCredential:
        sealed = self.sealed(key, command_id, changes.get("account_id", ACCOUNT))
        return ReplaceCredential(**about(command_id, integration_id=integration_id, sealed_key=sealed) | changes)

    # what comes in

    async def arrives(self, *commands: Command, process: Process | None = None) -> None:
        for command in commands:
            await (process or self.first).intake.take(Event(command, command.command_id, datetime.now(UTC)))

    async def arrives_raw(self, kind: str, body: bytes) -> MalformedError | None:
        """As the consumer does it: what cannot be read is answered, then given up for the reason that is answered here."""
        headers = {"ce_specversion": "1.0", "ce_id": "x", "ce_type": kind, "ce_source": "/test"}
        encoded = [(name, value.encode()) for name, value in headers.items()]
        record = ConsumerRecord("xai.commands.v1", 0, 0, 0, 0, None, body, None, 0, len(body), encoded)
        try:
            event: Any = decode(record, COMMANDS_TOPIC)
        except MalformedError as error:
            await self.first.intake.refuse(record, error)
            return error
        await self.first.intake.take(event)
        return None

    # what comes out

    async def settled(self, process: Process | None = None) -> None:
        """Let a connector work until nothing is left to be done or told."""
        async with (process or self.first).working():
            await self.ended()

    async def ended(self, *command_ids: str) -> None:
        """Wait until these commands, or all of them, are done and told."""
        query = """SELECT 1 FROM commands WHERE published_at IS NULL AND (command_id = ANY(:ids) OR :all)"""
        async with asyncio.timeout(DEADLINE):
            while await self.world.sql(query, ids=list(command_ids), all=not command_ids):
                await asyncio.sleep(0.005)

    async def rows(self) -> list[dict[str, Any]]:
        """The integrations, with what commands change of them."""
        found = await self.world.sql(
            """SELECT team_id, label, plan, status, history, version, credential_version
               FROM integrations JOIN accounts USING (account_id)"""
        )
        return [dict(row._mapping) for row in found]  # noqa: SLF001 - a row's public mapping has this name

    async def kept(self) -> str:
        """All that the table of commands holds."""
        return "\n".join([row for (row,) in await self.world.sql("SELECT commands::text FROM commands")])

    def told(self) -> list[Published]:
        return self.world.publisher.of(COMMAND_RESULTS.name)

    def result(self, command_id: str) -> Any:
        """Of the one result of the command: its message."""
        (one,) = (one for one in self.told() if one.message.command_id == command_id)
        return one.message

    def code(self, command_id: str) -> str | None:
        code = getattr(self.result(command_id), "code", None)
        return code.value if code else None

    async def connected(self, **changes: Any) -> Any:
        """The ID of an integration that was added by a command."""
        command_id = f"add-{len(self.told())}"
        await self.arrives(self.add(command_id, **changes))
        await self.settled()
        return self.result(command_id).integration_id


def about(command_id: str, **fields: Any) -> dict[str, Any]:
    """Fields of every command."""
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    return {"command_id": command_id, "account_id": ACCOUNT, "expires_at": in_an_hour} | fields


def rename(command_id: str, integration_id: Any, label: str = "Research", **changes: Any) -> RenameIntegration:
    return RenameIntegration(**about(command_id, integration_id=integration_id, label=label) | changes)


def change_plan(command_id: str, plan: Plan, **changes: Any) -> ChangePlan:
    return ChangePlan(**about(command_id, plan=plan) | changes)


def remove(command_id: str, integration_id: Any, history: History = History.KEEP, **changes: Any) -> RemoveIntegration:
    return RemoveIntegration(**about(command_id, integration_id=integration_id, history=history) | changes)
