"""The whole system on this machine: Postgres, Kafka, the simulator, the services and the cron emitter."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.crypto.key_files import create_keys
from common.migrations import SERVICES, migrate
from console.links import LONGEST, Right, load_secrets, new_link
from pydantic import SecretStr

from grafient.local.folder import CONSOLE_TOKEN_ID, PORTS, link_secrets, local_token
from grafient.local.kafka import Kafka
from grafient.local.postgres import Postgres
from grafient.local.processes import free_ports
from grafient.local.securing import Security, write_private
from grafient.local.supervisor import Part, Service, Supervisor, keep_running
from grafient.topics.acls import apply_grants, set_passwords
from grafient.topics.apply import apply_topics

KEY_ID = "local-1"
ACCOUNT = "demo"
"""Whose console `up` and `demo` open."""
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH")


@dataclass(frozen=True, slots=True)
class Address:
    """Where everything is: what `grafient up --json` prints."""

    connector_url: str
    syncer_url: str
    ledger_url: str
    console_url: str
    """A signed link for the account `demo`, with the right to manage."""
    kafka: str
    database_url: str
    token: str
    xai_url: str
    pids: dict[str, int]


class System:
    """`folder` holds all data and logs; `xai_url` None means the simulator, which answers in `delay_ms`."""

    def __init__(
        self,
        folder: Path,
        report: Callable[[str], None],
        *,
        xai_url: str | None = None,
        delay_ms: int = 50,
        durable: bool = True,
        settings: dict[str, str] | None = None,
        secured: bool = False,
        ports: Mapping[str, int] | None = None,
    ) -> None:
        """`report` is called with each step; `settings` are further environment variables of the services.

        `secured`: the broker speaks TLS only, each service authenticates as itself, and may do what it is granted.
        `ports` has one for each of PORTS; None: free ones.
        """
        self._folder = folder
        self._report = report
        self._delay_ms = delay_ms
        self._settings = settings or {}
        self._durable = durable
        self._token = ""
        self._console_secrets = folder / "console-secrets"
        self._ports = dict(ports or zip(PORTS, free_ports(len(PORTS)), strict=True))
        self._simulated = xai_url is None
        self._xai_url = xai_url or self.url_of("simulator")
        self.postgres = Postgres(folder / "postgres", durable=durable, port=self._ports["postgres"])
        self.security = Security.make(folder / "kafka-security") if secured else None
        self.kafka = Kafka(folder / "kafka", port=self._ports["kafka"], security=self.security)
        """May be replaced by another one, or several as one, before `start`."""
        self.logs = folder / "logs"
        self.supervisor = Supervisor(self.logs, report)
        self._keepers: list[asyncio.Task[None]] = []

    def url_of(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"

    async def start(self) -> Address:
        """Start everything; raises StartError. Call `stop` in any case."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write_secrets()
        await asyncio.gather(self._database(), self._broker(), self._simulator())
        parts: dict[str, Part] = {"Postgres": self.postgres, "Kafka": self.kafka}
        self._keepers = [
            asyncio.create_task(keep_running(name, part, self._report)) for name, part in parts.items() if part.process
        ]
        await self.supervisor.start([*(self._service(name) for name in SERVICES), self._cron()])
        return self.address()

    async def stop(self) -> None:
        """End everything, users before what they use."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await self.supervisor.stop()
        await asyncio.gather(self.kafka.stop(), self.postgres.stop())

    def address(self) -> Address:
        """Where everything is now."""
        own = {"postgres": self.postgres.process, "kafka": self.kafka.process}
        pids = {name: process.pid for name, process in own.items() if process is not None}
        return Address(
            connector_url=self.url_of("connector"),
            syncer_url=self.url_of("syncer"),
            ledger_url=self.url_of("ledger"),
            console_url=self.console_link(),
            kafka=self.kafka.bootstrap_servers,
            database_url=self.postgres.database_url,
            token=self._token,
            xai_url=self._xai_url,
            pids=pids | self.supervisor.pids,
        )

    def console_link(
        self, account_id: str = ACCOUNT, right: Right = Right.MANAGE, *, valid: timedelta = LONGEST
    ) -> str:
        """Opens the console once, within `valid`."""
        secret = load_secrets(link_secrets(self._folder))[0]
        link = new_link(account_id, right, datetime.now(UTC) + valid)
        return f"{self.url_of('console')}/enter?{link.query(secret)}"

    async def _database(self) -> None:
        await self.postgres.start()
        for service in SERVICES:
            await asyncio.to_thread(migrate, SecretStr(self.postgres.database_url), service)
        self._report("Postgres is ready, tables are there")

    async def _broker(self) -> None:
        await self.kafka.start()
        await apply_topics(self.kafka.settings(), self.kafka.replication)
        if self.security is not None:
            await asyncio.to_thread(set_passwords, self.kafka.settings(), self.security.of_principals())
            await asyncio.to_thread(apply_grants, self.kafka.settings())
        self._report("Kafka is ready, topics are there")

    async def _simulator(self) -> None:
        if self._simulated:
            port, delay = str(self._ports["simulator"]), str(self._delay_ms)
            argv = (sys.executable, "-m", "simulator", "--host", "127.0.0.1", "--port", port, "--delay-ms", delay)
            await self.supervisor.start([Service("simulator", argv, inherited_environment(), self._xai_url)])

    def environment_of(self, service: str) -> dict[str, str]:
        """What a process of `service` is started with."""
        return self._environment_of_process(service) | {
            "DATABASE_URL": self.postgres.url_of(service),
            "INSTANCE_NAME": f"{service}-1",
            "PORT": str(self._ports[service]),
        }

    def _service(self, name: str) -> Service:
        return Service(name, (sys.executable, "-m", name), self.environment_of(name), self.url_of(name))

    def _cron(self) -> Service:
        return Service("cron", (sys.executable, "-m", "grafient", "cron"), self._environment("cron"))

    def _environment_of_process(self, service: str) -> dict[str, str]:
        if service != "console":
            return self._environment(service)
        return inherited_environment() | {
            "CONSOLE_URL": self.url_of("console"),
            "CONSOLE_CONNECTOR_URL": self.url_of("connector"),
            "CONSOLE_LEDGER_URL": self.url_of("ledger"),
            "SECRETS_DIR": str(self._console_secrets),
            "CONSOLE_LINK_SECRETS_FILE": str(link_secrets(self._folder)),
            "HOST": "127.0.0.1",
            "HTTP_STOP_PAUSE_SECONDS": "0",
            **self._settings,
        }

    def _environment(self, principal: str) -> dict[str, str]:
        secured = self.security.environment(principal) if self.security else {}
        return inherited_environment() | {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            **secured,
            "API_TOKENS_FILE": str(self._folder / "tokens.json"),
            "KEYRING_FILE": str(self._folder / "keyring.json"),
            "SEALING_KEY_FILE": str(self._folder / "sealing_key.json"),
            "ENVIRONMENT": "local",
            "XAI_BASE_URL": self._xai_url,
            "HOST": "127.0.0.1",
            "HTTP_STOP_PAUSE_SECONDS": "0",  # no balancer has to notice that a process stops
            **self._settings,
        }

    def _write_secrets(self) -> None:
        for name in ("keyring.json", "sealing_key.json"):
            if not (self._folder / name).exists():
                create_keys(self._folder / name, KEY_ID)
        self._token = local_token(self._folder, keep=self._durable)
        console_token = local_token(self._folder, keep=self._durable, token_id=CONSOLE_TOKEN_ID)
        write_private(self._console_secrets / "console_api_token", console_token.encode())


def inherited_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}
