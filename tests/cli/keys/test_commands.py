"""Operators manage the keys from the command line: what is printed, what is refused, and that no key is ever shown."""

import json
import os
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from common.crypto.envelopes import Binding
from common.crypto.key_files import create_keys, load_keys
from common.crypto.keyring import LiveKeyring
from common.crypto.sealing import Sealer
from contract.cloudevents import MARKER_KEY
from contract.topics import CREDENTIALS
from grafient.keys.commands import ALL_ALIKE
from sqlalchemy import text

from tests.support.commands import Completed, in_process, invoke

KEY = b64encode(bytes(range(32))).decode()
ACCOUNT = "account-1"

ADD = text("""
    INSERT INTO integrations (integration_id, account_id, team_id, label, status, status_since, version, credential_version,
        wrap_version, envelope, history_from, backfill_first, backfill_last, added_at, changed_at)
    VALUES (CAST(:id AS uuid), 'account-1', CAST(:id AS text), 'label', 'active', now(), 1, 1, 1, CAST(:envelope AS jsonb), now(),
        now(), now(), now(), now())
""")


def run(arguments: str, **env: str) -> Completed:
    return invoke("keys", *arguments.split(), env=env)


class Keys:
    """A key file whose IDs no other test uses, and the tables and topic that may name them."""

    def __init__(self, folder: Path, kafka: str, url: str, connector: Any, syncer: Any) -> None:
        self.path = folder / "keyring.json"
        self.first, self.second = (f"{name}-{uuid4().hex[:8]}" for name in ("first", "second"))
        create_keys(self.path, self.first)
        self.env = {
            "KEYRING_FILE": str(self.path),
            "DATABASE_URL": url,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "ENVIRONMENT": "test",
        }
        self._kafka = kafka
        self._tables = {"connector": connector.owner, "syncer": syncer.owner}

    async def run(self, arguments: str, status: int = 0) -> Any:
        """What a command prints as JSON."""
        result = await in_process("keys", *arguments.split(), "--json", env=self.env)
        secrets = [b64encode(key).decode() for key in load_keys(self.path).by_id.values()]
        assert not any(secret in result.stdout + result.stderr for secret in secrets)
        return result.json(status=status)

    async def sql(self, service: str, statement: Any, **values: Any) -> None:
        async with self._tables[service].transaction() as connection:
            await connection.execute(text(statement) if isinstance(statement, str) else statement, values)

    async def add_row(self) -> UUID:
        integration_id = uuid4()
        await self.sql("connector", ADD, id=str(integration_id), envelope=json.dumps(self.envelope(integration_id)))
        return integration_id

    def envelope(self, integration_id: UUID) -> dict[str, str]:
        place = Binding(ACCOUNT, integration_id, 1)
        return Sealer(LiveKeyring(self.path), "test").seal("obviously-fake-key", place)

    async def publish(self, key: str, value: bytes | None) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._kafka)
        await producer.start()
        try:
            await producer.send_and_wait(CREDENTIALS.name, value, key=key.encode(), partition=0)
        finally:
            await producer.stop()

    def settle(self) -> None:
        """As if the file had been changed long ago."""
        os.utime(self.path, (time.time() - 3600,) * 2)

    async def named(self, key_id: str) -> dict[str, Any]:
        (row,) = [one for one in await self.run("list") if one["id"] == key_id]
        return dict(row)


@pytest.fixture
async def keys(tmp_path: Path, kafka: str, postgres: str, tables_of: Callable[[str], Any]) -> AsyncIterator[Keys]:
    keys = Keys(tmp_path, kafka, postgres, tables_of("connector"), tables_of("syncer"))
    await keys.sql("connector", "TRUNCATE accounts, integrations, syncs, account_events")
    await keys.sql("connector", "INSERT INTO accounts (account_id, plan) VALUES ('account-1', 'free')")
    await keys.sql("syncer", "TRUNCATE credentials")
    yield keys
    await keys.sql("connector", "TRUNCATE accounts, integrations, syncs, account_events")


async def test_each_key_is_listed_with_what_names_it(keys: Keys) -> None:
    integration_id = await keys.add_row()
    await keys.run(f"add {keys.second}")
    sealed = json.dumps({"envelope": keys.envelope(integration_id)}).encode()
    for key, value in ((str(integration_id), sealed), (str(integration_id), sealed), (MARKER_KEY, b"{}")):
        await keys.publish(key, value)
    await keys.publish(str(integration_id), None)
    await keys.publish("nobody", b"{not json")

    assert await keys.named(keys.first) == {
        "id": keys.first,
        "state": "current",
        "connector": 1,
        "syncer": 0,
        "topic": 2,
    }
    assert (await keys.named(keys.second))["state"] == ""


async def test_a_key_that_rows_name_and_the_file_lacks_is_listed_as_missing(keys: Keys) -> None:
    await keys.add_row()
    keys.path.unlink()
    create_keys(keys.path, "another")
    assert (await keys.named(keys.first))["state"] == "missing"


async def test_text_in_place_of_a_key_id_is_not_printed(keys: Keys) -> None:
    integration_id = await keys.add_row()
    await keys.sql("connector", """UPDATE integrations SET envelope = '{"key_id": "obviously fake, and no ID"}'""")
    assert (await keys.named("(no key ID)"))["connector"] == 1
    (row,) = await keys.run("check", status=1)
    assert (row["integration_id"], row["key_id"]) == (str(integration_id), "(no key ID)")


async def test_a_key_is_added_used_and_moved_to_and_the_former_one_dropped(keys: Keys) -> None:
    await keys.add_row()
    assert await keys.run(f"add {keys.second}") == {"added": keys.second}
    assert await keys.run(f"use {keys.second}") == {"current": keys.second}
    assert (await keys.run("rewrap --dry-run"))["moved"] == 1
    assert (await keys.named(keys.first))["connector"] == 1

    assert await keys.run("rewrap --no-wait") == {
        "current": keys.second,
        "moved": 1,
        "unsealable": [],
        "behind": None,
    }

    assert await keys.run("check") == []
    keys.settle()
    assert await keys.run(f"drop {keys.first} --dry-run") == {"dropped": keys.first}
    assert await keys.run(f"drop {keys.first}") == {"dropped": keys.first}
    assert list(load_keys(keys.path).by_id) == [keys.second]
    assert await keys.run("check") == []


@pytest.mark.parametrize("where", ["connector", "syncer", "topic"])
async def test_a_key_that_anything_still_names_is_not_dropped(keys: Keys, where: str) -> None:
    integration_id = uuid4()
    envelope = json.dumps(keys.envelope(integration_id))
    if where == "connector":
        await keys.add_row()
    elif where == "syncer":
        statement = text("INSERT INTO credentials VALUES (:id, 'account-1', 1, 1, CAST(:envelope AS jsonb))")
        await keys.sql("syncer", statement, id=integration_id, envelope=envelope)
    else:
        await keys.publish(str(integration_id), b'{"envelope": %s}' % envelope.encode())
        await keys.publish(str(integration_id), None)
    await keys.run(f"add {keys.second}")
    await keys.run(f"use {keys.second}")
    keys.settle()

    refused = await keys.run(f"drop {keys.first}", status=1)

    assert refused["dropped"] is None
    counts = {name: int(name == where) for name in ("connector", "syncer", "topic")}
    sentence = f"{counts['connector']} rows of connector, {counts['syncer']} of syncer and {counts['topic']} records"
    assert sentence in refused["reason"]
    assert ("rewrap" in refused["reason"]) is (where != "topic")
    assert keys.first in load_keys(keys.path).by_id


async def test_a_key_that_may_still_be_sealed_under_is_not_dropped(keys: Keys) -> None:
    await keys.run(f"add {keys.second}")
    await keys.run(f"use {keys.second}")
    assert "may still seal" in (await keys.run(f"drop {keys.first}", status=1))["reason"]
    assert keys.first in load_keys(keys.path).by_id


async def test_what_does_not_unwrap_is_named_by_check_and_left_by_rewrap(keys: Keys) -> None:
    sound, moved = await keys.add_row(), await keys.add_row()
    await keys.sql("connector", "UPDATE integrations SET credential_version = 2 WHERE integration_id = :id", id=moved)
    await keys.run(f"add {keys.second}")
    await keys.run(f"use {keys.second}")

    (row,) = await keys.run("check", status=1)
    assert (row["in"], row["integration_id"], row["key_id"]) == ("connector", str(moved), keys.first)
    assert row["reason"].startswith("damaged")
    done = await keys.run("rewrap", status=1)
    assert (done["moved"], done["unsealable"]) == (1, [str(moved)])
    assert sound != moved


def test_a_new_key_is_called_by_its_day_where_nobody_names_it(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    create_keys(path, "first")
    names = [run("add --json", KEYRING_FILE=str(path)).json()["added"] for _ in range(3)]
    assert names == [names[0], f"{names[0]}-2", f"{names[0]}-3"]
    assert load_keys(path).current == "first"


async def test_where_nothing_unwraps_the_settings_are_named_and_not_the_envelopes(keys: Keys) -> None:
    for _ in range(2):
        await keys.add_row()
    elsewhere = {**keys.env, "ENVIRONMENT": "staging"}

    result = await in_process("keys", "check", env=elsewhere)

    assert result.status == 1
    printed = " ".join(result.stdout.split())
    assert "None of 2 sealed credentials unwraps" in printed
    assert "ENVIRONMENT is staging" in printed
    assert keys.path.name in result.stdout.replace("\n", "")
    assert "damaged" not in printed
    rows = (await in_process("keys", "check", "--json", env=elsewhere)).json(status=1)
    assert {row["reason"] for row in rows} == {ALL_ALIKE}
    assert await keys.run("check") == []


FAULTS: dict[str, Any] = {
    "not a JSON object": "no json",
    "does not hold current and keys": {"keys": {"a": KEY}},
    "key bad does not have 32 bytes": {"current": "a", "keys": {"a": KEY, "bad": KEY[:20]}},
    "the current key is not among the keys": {"current": "c", "keys": {"a": KEY}},
    "accessible to others": {"current": "a", "keys": {"a": KEY}},
    "No such file": None,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", ["add new", "use a", "drop a", "list", "rewrap", "check"])
def test_a_file_that_cannot_be_used_is_named_in_one_sentence(tmp_path: Path, fault: str, command: str) -> None:
    path = tmp_path / "keyring.json"
    content = FAULTS[fault]
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        path.chmod(0o644 if fault == "accessible to others" else 0o600)
    nowhere = {"DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}

    result = run(command, KEYRING_FILE=str(path), **nowhere)

    assert result.status == 2
    assert fault in result.stderr
    assert str(path) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert KEY[:20] not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("command", "sentence"),
    [("add a", "exists already"), ("add a/b", "not 1-40"), ("use b", "no key of that ID"), ("drop a", "current")],
)
def test_what_cannot_be_done_is_named(tmp_path: Path, command: str, sentence: str) -> None:
    path = tmp_path / "keyring.json"
    create_keys(path, "a")
    result = run(command, KEYRING_FILE=str(path))
    assert result.status == 2
    assert sentence in result.stderr


def test_an_unavailable_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    create_keys(path, "a")
    env = {"DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    result = run("check", KEYRING_FILE=str(path), **env)
    assert result.status == 3
    assert result.stderr.strip().startswith("DATABASE_URL: connection failed")
