"""Which pending commands are sealed to a given key: on their topic, and in the connector's tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from common.crypto.sealed_commands import key_id_of
from common.kafka.client import admin_client
from common.kafka.ranges import range_of, reader, records_of
from common.settings import KafkaSettings
from connector.operations.sealed import pending_commands
from contract.cloudevents import MalformedError, Record, decode
from contract.messages import AddIntegration, ReplaceCredential
from contract.topics import COMMANDS_TOPIC

from grafient.cli.database import tables_of
from grafient.cli.topics import committed, not_committed
from grafient.keys.usage import UsageSettings

CommandRef = tuple[str, str]
"""Account and command ID."""


@dataclass(frozen=True, slots=True)
class WaitingCommand:
    """A command that a key is needed for."""

    key_id: str | None
    expires_at: datetime
    """From then on it is rejected, with the key or without."""


async def waiting_for(settings: UsageSettings, key_id: str) -> list[WaitingCommand]:
    """The pending commands that have not expired and are sealed to `key_id`; one that moves from topic to table counts once."""
    found = await _on_topic(settings)  # before the table: what is taken meanwhile is found there
    async with tables_of("connector", settings.database_url) as database, database.transaction() as connection:
        pending, now = await pending_commands(connection)
    taken = {
        (one.account_id, one.command_id): WaitingCommand(key_id_of(one.sealed_key), one.expires_at) for one in pending
    }
    return [one for one in (found | taken).values() if one.key_id == key_id and one.expires_at > now]


async def _on_topic(settings: KafkaSettings) -> dict[CommandRef, WaitingCommand]:
    async with admin_client(settings, "grafient") as admin, reader(settings) as consumer:
        offsets = await committed(admin, "connector", COMMANDS_TOPIC)
        left = not_committed(await range_of(consumer, COMMANDS_TOPIC), offsets)
        return {
            ref: command
            async for records in records_of(consumer, left)
            for record in records
            for ref, command in _command_in(record)
        }


def _command_in(record: Record) -> Iterator[tuple[CommandRef, WaitingCommand]]:
    """The command in the record; nothing where it cannot be read, for then no key is needed."""
    try:
        command = decode(record, COMMANDS_TOPIC).message
    except MalformedError:
        return
    if isinstance(command, AddIntegration | ReplaceCredential):
        ref = command.account_id, command.command_id
        yield ref, WaitingCommand(key_id_of(command.sealed_key), command.expires_at)
