"""Apache Kafka, the real broker (KRaft), on the JDK from a wheel: no Java, Docker or system package."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from common.kafka.client import client_options
from common.settings import KafkaSettings

from grafient.local.errors import StartError
from grafient.local.processes import free_ports, spawn, stop, tail
from grafient.local.securing import OPERATOR, Security, write_private
from grafient.local.startup_cache import java

START_DEADLINE = 60.0


class Kafka:
    """A broker whose data is in `folder`; started again it has the same port and data.

    With `security` it accepts clients over TLS with a password only, and lets them do what they are granted. `jvm` are
    further options of its JVM.
    """

    replication = 1
    """Of its topics."""

    def __init__(
        self, folder: Path, *, port: int | None = None, security: Security | None = None, jvm: Sequence[str] = ()
    ) -> None:
        ports = free_ports(3)
        self.port = port or ports[0]
        self._controller_port, self._inside_port = ports[1:]
        self._security = security
        self._jvm = jvm
        self._folder = folder
        self._log = folder.parent / "logs" / "kafka.log"
        self.process: asyncio.subprocess.Process | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def settings(self, principal: str = OPERATOR) -> KafkaSettings:
        """How `principal` reaches the broker; without security all alike."""
        if self._security is not None:
            return self._security.settings(self.bootstrap_servers, principal)
        return KafkaSettings(kafka_bootstrap_servers=self.bootstrap_servers)

    async def start(self) -> None:
        """Format the folder where it is new, start, wait until the broker answers; raises StartError or FetchError."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._folder / "server.properties").write_text(self._properties())
        if not (self._folder / "data" / "meta.properties").exists():
            await self._format()
        self.process = await self._java([*self._jvm], "kafka.Kafka", str(self._folder / "server.properties"))
        await self._answers()

    async def stop(self) -> None:
        """End it; the data stays."""
        if self.process is not None:
            await stop(self.process)

    async def _format(self) -> None:
        arguments = ["format", f"--cluster-id={self._new_cluster_id()}", "-c", str(self._folder / "server.properties")]
        if self._security is not None:
            arguments += self._security.first_user()
        file = self._folder / "format.arguments"  # a password has no place in a list of processes
        write_private(file, "\n".join(f'"{one}"' for one in ["kafka.tools.StorageTool", *arguments]).encode())
        log = self._folder / "format.log"  # the output of the tool holds the verifier of that password
        write_private(log, b"")
        self.process = await self._java([], f"@{file}", log=log)
        failed, output = await self.process.wait(), tail(log)
        file.unlink()
        log.unlink()
        if failed:
            raise StartError(f"Kafka's folder could not be made:\n{output}")

    def _new_cluster_id(self) -> str:
        return urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")

    async def _java(
        self, options: Sequence[str], *arguments: str, log: Path | None = None
    ) -> asyncio.subprocess.Process:
        argv = await asyncio.to_thread(java, *options)
        return await spawn([*argv, *arguments], log or self._log, cwd=self._folder)

    async def _answers(self) -> None:
        assert self.process is not None  # noqa: S101 - start() made it
        try:
            async with asyncio.timeout(START_DEADLINE):
                while self.process.returncode is None:
                    if await _cluster_of(self.settings()) == self._cluster_id():
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            await self.stop()
        raise StartError(f"Kafka did not start:\n{tail(self._log)}")

    def _cluster_id(self) -> str:
        """What distinguishes this broker from another one that took its port."""
        lines = (self._folder / "data" / "meta.properties").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))["cluster.id"]

    def _properties(self) -> str:
        at = f"127.0.0.1:{self.port}"
        if self._security is None:
            clients, inside = f"PLAINTEXT://{at}", {}
        else:
            clients, inside = (
                f"CLIENTS://{at},INSIDE://127.0.0.1:{self._inside_port}",
                self._security.properties(),
            )
        settings = inside | {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"{clients},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": clients,
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self._folder / "data"),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            "offsets.topic.num.partitions": "4",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "log.index.size.max.bytes": "1048576",
            "log.cleaner.backoff.ms": "1000",
            "log.cleaner.dedupe.buffer.size": "16777216",  # a third of the heap otherwise
        }
        return "\n".join(f"{name}={value}" for name, value in settings.items())


async def _cluster_of(settings: KafkaSettings) -> str | None:
    """The cluster's ID, once it has a broker."""
    host, port = settings.kafka_bootstrap_servers.split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        admin = AIOKafkaAdminClient(**client_options(settings), request_timeout_ms=3000)
        await admin.start()
        try:
            found = await admin.describe_cluster()
            return str(found["cluster_id"]) if found["brokers"] else None
        finally:
            await admin.close()
    except (KafkaError, OSError, TimeoutError):
        return None
