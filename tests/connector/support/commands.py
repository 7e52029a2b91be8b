"""Connectors that do commands, side by side on one database; each key names what xAI answers."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from common.crypto.sealed_commands import seal
from common.crypto.sealing import Sealer
from common.kafka.consumer import bind
from common.leases import LeasedWorker
from common.watchdog import Watchdog
from connector.commands.handlers import COMMAND_HANDLERS, CommandHandler, Commands
from connector.commands.inbox import Claim
from connector.commands.intake import Intake
from connector.commands.opening import SealedCommandOpener
from connector.commands.results import Results
from connector.commands.worker import CommandQueue
from connector.connection_check import ConnectionTest
from connector.integrations import Integrations
from connector.operations.replay import replay_handlers
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

from tests.connector.support.connector import KEYRING, NOW, TEAM, ConnectorHarness
from tests.support.fakes import Published, RecordingDeadLetters, no_pause
from tests.support.messages import ACCOUNT, Headers, command, encoded, raw_record, record_of

REFUSED_KEY = "obviously-fake-refused-key"
SLOW_KEY = "obviously-fake-slow-key"
PLAIN_KEY = "obviously-fake-key-in-the-clear"
OTHER = "account-2"
DEADLINE = 20.0
A_MINUTE_LATER = (
    "UPDATE commands SET published_at = published_at - interval '1 min', repeat_at = repeat_at - interval '1 min'"
)
EXPIRE_LEASES = "UPDATE commands SET lease_until = clock_timestamp() WHERE lease IS NOT NULL"
Handlers = Mapping[type[Message], CommandHandler]


class CommandsProcess:
    """The commands' part of one connector."""

    def __init__(self, connector: ConnectorHarness, handlers: Handlers, name: str) -> None:
        watchdog = Watchdog()
        self.results = Results(connector.database, connector.publisher, watchdog)
        queue = CommandQueue(connector.database, handlers, self.results.wake, owner=name, pause=no_pause)
        self.worker: LeasedWorker[Claim] = LeasedWorker("commands", watchdog, queue, in_flight=4)
        self.intake = Intake(connector.database, self.worker.wake, self.results.wake)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(run()) for run in (self.worker.run, self.results.run)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class CommandsHarness:
    """Commands are sent, connectors work, and results are read."""

    def __init__(self, connector: ConnectorHarness, folder: Path) -> None:
        self.connector = connector
        path = folder / "sealing_key.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"current": "one", "keys": {"one": b64encode(bytes(range(32))).decode()}}))
        self.opener = SealedCommandOpener(path, "test")
        self.keys_tested: list[str] = []
        self.answered: list[bool] = []
        """Of what could not be read: whether nobody but its sender has to act."""
        self.answer_slow_keys = asyncio.Event()
        test = ConnectionTest(client("https://xai.test", transport=httpx.MockTransport(self._answer)), lambda: NOW)
        integrations = Integrations(connector.database, test, Sealer(KEYRING, "test"), lambda: None)
        self.handlers: Handlers = bind(COMMAND_HANDLERS, Commands(integrations, self.opener))
        self.first = self.process("first")

    def process(self, name: str = "", handlers: Handlers | None = None) -> CommandsProcess:
        return CommandsProcess(self.connector, handlers or self.handlers, name)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        self.keys_tested.append(key)
        if key == SLOW_KEY:
            await self.answer_slow_keys.wait()

        async def body() -> AsyncIterator[bytes]:
            yield b'{"code": 16}' if key == REFUSED_KEY else b"{}"

        return httpx.Response(401 if key == REFUSED_KEY else 200, content=body())

    def sealed(self, key: str, command_id: str, account_id: str = ACCOUNT) -> str:
        return seal(key, self.opener.recipient(), environment="test", account_id=account_id, command_id=command_id)

    def add(self, command_id: str, key: str = "obviously-fake-good-key", **changes: Any) -> AddIntegration:
        sealed_key = self.sealed(key, command_id, changes.get("account_id", ACCOUNT))
        fields = {"team_id": TEAM, "label": None, "plan": Plan.FREE, "sealed_key": sealed_key} | changes
        return command(AddIntegration, command_id=command_id, **fields)

    def replace(self, command_id: str, integration_id: Any, key: str, **changes: Any) -> ReplaceCredential:
        sealed_key = self.sealed(key, command_id, changes.get("account_id", ACCOUNT))
        fields = {"integration_id": integration_id, "sealed_key": sealed_key} | changes
        return command(ReplaceCredential, command_id=command_id, **fields)

    async def send(self, *commands: Command, process: CommandsProcess | None = None) -> None:
        for one in commands:
            await (process or self.first).intake.take(Event(one, one.command_id, datetime.now(UTC)))

    async def send_raw(
        self,
        kind: str,
        body: bytes | None,
        headers: Headers | None = None,
        *,
        key: str | None = None,
        event_id: str = "x",
    ) -> MalformedError | None:
        """As the consumer does it: what cannot be read is answered, then dead-lettered for the returned reason."""
        default = encoded({"ce_specversion": "1.0", "ce_id": event_id, "ce_type": kind, "ce_source": "/test"})
        record = raw_record(COMMANDS_TOPIC, body, headers or default, key=key.encode() if key else None)
        try:
            event: Any = decode(record, COMMANDS_TOPIC)
        except MalformedError as error:
            self.answered.append(await self.first.intake.reject_unreadable(record, error))
            return error
        await self.first.intake.take(event)
        return None

    async def replay(self, *commands: Command) -> None:
        """As `grafient replay` does it."""
        topics = replay_handlers(self.connector.database, self.connector.publisher, RecordingDeadLetters()).topics
        await topics[COMMANDS_TOPIC](tuple(record_of(COMMANDS_TOPIC, one) for one in commands))

    async def work(self, process: CommandsProcess | None = None) -> None:
        """Let a connector work until every command is done and its result published."""
        async with (process or self.first).working():
            await self.ended()

    async def do(self, *commands: Command) -> None:
        await self.send(*commands)
        await self.work()

    async def ended(self, *command_ids: str) -> None:
        """Wait until the results of these commands, or of all, are published."""
        due = "(published_at IS NULL OR repeat_at <= clock_timestamp())"
        query = f"SELECT 1 FROM commands WHERE {due} AND (command_id = ANY(:ids) OR :all)"  # noqa: S608 - only a constant
        async with asyncio.timeout(DEADLINE):
            while await self.connector.sql(query, ids=list(command_ids), all=not command_ids):
                await asyncio.sleep(0.005)

    async def integrations(self) -> list[dict[str, Any]]:
        """The columns that commands change."""
        rows = await self.connector.sql(
            """SELECT team_id, label, plan, status, history, version, credential_version
               FROM integrations JOIN accounts USING (account_id)"""
        )
        return [dict(row._mapping) for row in rows]  # noqa: SLF001 - a row's public mapping has this name

    async def stored(self) -> str:
        """The whole table of commands, as text."""
        return "\n".join([row for (row,) in await self.connector.sql("SELECT commands::text FROM commands")])

    def results(self) -> list[Published]:
        return self.connector.publisher.of(COMMAND_RESULTS.name)

    def ids(self) -> list[str]:
        """Of the commands, in the order of their results."""
        return [one.message.command_id for one in self.results()]

    def result(self, command_id: str) -> Any:
        """The message of the command's only result."""
        (one,) = (one for one in self.results() if one.message.command_id == command_id)
        return one.message

    def code(self, command_id: str) -> str | None:
        code = getattr(self.result(command_id), "code", None)
        return code.value if code else None

    async def connected(self, **changes: Any) -> Any:
        """The ID of an integration that was added by a command."""
        command_id = f"add-{len(self.results())}"
        await self.do(self.add(command_id, **changes))
        return self.result(command_id).integration_id


def rename(command_id: str, integration_id: Any, label: str = "Research", **changes: Any) -> RenameIntegration:
    return command(RenameIntegration, command_id=command_id, integration_id=integration_id, label=label, **changes)


def change_plan(command_id: str, plan: Plan = Plan.PRO, **changes: Any) -> ChangePlan:
    return command(ChangePlan, command_id=command_id, plan=plan, **changes)


def remove(command_id: str, integration_id: Any, history: History = History.KEEP, **changes: Any) -> RemoveIntegration:
    fields = {"command_id": command_id, "integration_id": integration_id, "history": history}
    return command(RemoveIntegration, **fields | changes)
