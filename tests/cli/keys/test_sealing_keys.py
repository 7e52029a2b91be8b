"""The keys that commands are sealed to are looked after apart; one that a waiting command needs is not dropped."""

import os
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from common.crypto.key_files import create_keys, load_keys
from common.crypto.sealed_commands import SealingKey, key_id_of, seal
from connector.commands.opening import load_sealing_keys
from contract.access import group_of
from contract.cloudevents import headers_of
from contract.messages import ReplaceCredential
from contract.topics import COMMANDS_TOPIC
from sqlalchemy import text

from tests.support.commands import in_process

ACCOUNT = "account-1"
GROUP = group_of("connector", COMMANDS_TOPIC)
IN_AN_HOUR = timedelta(hours=1)


class Keys:
    """A file of sealing keys whose IDs no other test uses, and the topic and table whose commands may need them."""

    def __init__(self, folder: Path, kafka: str, url: str, connector: Any) -> None:
        self.path = folder / "sealing_key.json"
        self.first, self.second = (f"{name}.of-{uuid4().hex[:8]}" for name in ("first", "second"))
        create_keys(self.path, self.first)
        self._kafka, self._tables = kafka, connector.owner
        self._env = {"SEALING_KEY_FILE": str(self.path), "DATABASE_URL": url, "KAFKA_BOOTSTRAP_SERVERS": kafka}

    async def run(self, arguments: str, status: int = 0) -> Any:
        """What a command prints as JSON."""
        return (await in_process("keys", *arguments.split(), "--sealing", "--json", env=self._env)).json(status=status)

    async def rotate(self) -> None:
        """The second is current, and has been for long."""
        await self.run(f"add {self.second}")
        await self.run(f"use {self.second}")
        os.utime(self.path, (time.time() - 3600,) * 2)

    def command(self, expires_in: timedelta = IN_AN_HOUR) -> ReplaceCredential:
        """Sealed to the current key."""
        keys, command_id = load_sealing_keys(self.path), uuid4().hex
        recipient = SealingKey(keys.current, keys.by_id[keys.current].public_key().public_bytes_raw())
        sealed = seal("obviously-fake-key", recipient, environment="test", account_id=ACCOUNT, command_id=command_id)
        expires_at = datetime.now(UTC) + expires_in
        fields = {"command_id": command_id, "account_id": ACCOUNT, "integration_id": uuid4(), "expires_at": expires_at}
        return ReplaceCredential.model_validate(fields | {"sealed_key": sealed})

    async def publish(self, command: ReplaceCredential, **replaced: bytes) -> None:
        headers = headers_of(command, event_id=command.command_id, source="/test", at=datetime.now(UTC))
        body = {"value": command.model_dump_json().encode()} | replaced
        pairs = [(name, value.encode()) for name, value in headers.items()]
        producer = AIOKafkaProducer(bootstrap_servers=self._kafka)
        await producer.start()
        try:
            await producer.send_and_wait(COMMANDS_TOPIC.name, key=ACCOUNT.encode(), headers=pairs, **body)
        finally:
            await producer.stop()

    async def consume_all(self) -> None:
        """As if the connector had passed everything on the topic."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka, group_id=GROUP, enable_auto_commit=False)
        await consumer.start()
        try:
            partitions = [TopicPartition(COMMANDS_TOPIC.name, number) for number in range(COMMANDS_TOPIC.partitions)]
            consumer.assign(partitions)
            await consumer.commit(dict(await consumer.end_offsets(partitions)))
        finally:
            await consumer.stop()

    async def take(self, command: ReplaceCredential) -> None:
        await self.sql(
            """INSERT INTO commands (account_id, command_id, type, body)
               VALUES (:account, :id, 'ReplaceCredential', CAST(:body AS jsonb))""",
            account=ACCOUNT,
            id=command.command_id,
            body=command.model_dump_json(),
        )

    async def sql(self, statement: str, **values: Any) -> None:
        async with self._tables.transaction() as connection:
            await connection.execute(text(statement), values)

    def held(self) -> set[str]:
        return set(load_keys(self.path).by_id)


@pytest.fixture
async def keys(tmp_path: Path, kafka: str, postgres: str, tables_of: Callable[[str], Any]) -> AsyncIterator[Keys]:
    keys = Keys(tmp_path, kafka, postgres, tables_of("connector"))
    await keys.sql("TRUNCATE commands")
    yield keys
    await keys.sql("TRUNCATE commands")


async def test_a_key_that_no_command_waits_for_is_retired(keys: Keys) -> None:
    await keys.rotate()

    assert await keys.run(f"drop {keys.first} --dry-run") == {"dropped": keys.first}
    assert await keys.run(f"drop {keys.first}") == {"dropped": keys.first}

    assert await keys.run("list") == [{"id": keys.second, "state": "current"}]


async def test_a_key_that_may_still_be_handed_out_is_not_dropped(keys: Keys) -> None:
    await keys.run(f"add {keys.second}")
    await keys.run(f"use {keys.second}")

    assert "may still hand out" in (await keys.run(f"drop {keys.first}", status=1))["reason"]
    assert keys.first in keys.held()


async def test_a_key_that_commands_wait_for_is_dropped_only_when_they_are_done(keys: Keys) -> None:
    on_topic, taken, both = keys.command(), keys.command(timedelta(hours=3)), keys.command()
    for command in (on_topic, both):
        await keys.publish(command)
    for command in (taken, both):
        await keys.take(command)
    await keys.rotate()
    await keys.take(keys.command())  # sealed to the second

    refused = await keys.run(f"drop {keys.first}", status=1)

    assert refused["dropped"] is None
    assert f"3 commands that wait are sealed to {keys.first}" in refused["reason"]
    assert f"at the latest after {taken.expires_at:%Y-%m-%d %H:%M:%S}Z" in refused["reason"]
    await keys.consume_all()
    assert "2 commands" in (await keys.run(f"drop {keys.first}", status=1))["reason"]
    await keys.sql("UPDATE commands SET body = NULL, done_at = now()")
    assert keys.first in keys.held()
    assert await keys.run(f"drop {keys.first}") == {"dropped": keys.first}
    assert keys.held() == {keys.second}


async def test_what_has_expired_or_cannot_be_read_holds_no_key_back(keys: Keys) -> None:
    await keys.take(keys.command(-IN_AN_HOUR))
    await keys.publish(keys.command(-IN_AN_HOUR))
    await keys.publish(keys.command(), value=b'{"sealed_key": "v1.%s.x.y"}' % keys.first.encode())
    await keys.rotate()

    assert await keys.run(f"drop {keys.first}") == {"dropped": keys.first}


@pytest.mark.parametrize("sealed", ["", "v1", "v1.a.b", "v2.a.b.c", "no key"])
def test_what_is_not_sealed_names_no_key(sealed: str) -> None:
    assert key_id_of(sealed) is None
