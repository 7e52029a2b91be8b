"""Which commands still wait to be done and are sealed to a given key: on their topic, and taken by the connector."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from common.crypto.sealed_commands import key_id_of
from common.database import Database
from common.kafka.client import admin_client
from common.kafka.ranges import range_of, reader, records_of
from common.settings import KafkaSettings
from connector import store
from contract.access import CONNECTOR, group_of
from contract.cloudevents import MalformedError, Record, decode
from contract.messages import AddIntegration, ReplaceCredential
from contract.topics import COMMANDS_TOPIC
from sqlalchemy import text

from grafient.keys.usage import UsageSettings, database_of
from grafient.lag import not_committed

GROUP = group_of(CONNECTOR.principal, COMMANDS_TOPIC)
Place = tuple[str, str]
"""Account and command ID."""

_TAKEN = text("""
    SELECT account_id, command_id, body ->> 'sealed_key' AS sealed_key, CAST(body ->> 'expires_at' AS timestamptz) AS expires_at
    FROM commands WHERE done_at IS NULL AND body ->> 'sealed_key' IS NOT NULL
""")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that a key is needed for."""

    key_id: str | None
    expires_at: datetime
    """From then on it is rejected, with the key or without."""


async def waiting_for(settings: UsageSettings, key_id: str) -> list[Waiting]:
    """The commands that wait, have not expired, and are sealed to `key_id`; one that moves from topic to table is one."""
    found = await _on_topic(settings)  # before the table: what is taken meanwhile is found there
    async with database_of(settings.database_url) as database:
        taken, now = await _taken(database)
    return [one for one in (found | taken).values() if one.key_id == key_id and one.expires_at > now]


async def _on_topic(settings: KafkaSettings) -> dict[Place, Waiting]:
    async with admin_client(settings, "grafient") as admin, reader(settings) as consumer:
        left = not_committed(await range_of(consumer, COMMANDS_TOPIC), await _committed(admin))
        return {
            place: waiting
            async for records in records_of(consumer, left)
            for record in records
            for place, waiting in _told(record)
        }


async def _committed(admin: AIOKafkaAdminClient) -> dict[TopicPartition, object]:
    try:
        found: dict[TopicPartition, object] = await admin.list_consumer_group_offsets(GROUP)
    except GroupCoordinatorNotAvailableError:  # no group ever was at this broker: everything waits
        return {}
    return found


def _told(record: Record) -> Iterator[tuple[Place, Waiting]]:
    """The command in the record; nothing where it cannot be read, for then no key is asked for."""
    try:
        command = decode(record, COMMANDS_TOPIC).message
    except MalformedError:
        return
    if isinstance(command, AddIntegration | ReplaceCredential):
        yield (command.account_id, command.command_id), Waiting(key_id_of(command.sealed_key), command.expires_at)


async def _taken(database: Database) -> tuple[dict[Place, Waiting], datetime]:
    """What the connector has taken and not done, and the time by its clock."""
    async with database.transaction() as connection:
        rows = (await connection.execute(_TAKEN)).all()
        now = await store.now(connection)
    return {(row.account_id, row.command_id): Waiting(key_id_of(row.sealed_key), row.expires_at) for row in rows}, now
