"""What faults leave in the services' logs and on the topics, read piece by piece as it grows."""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition
from contract.topics import TOPICS

from tests.support.secret_search import Canaries, Hit
from tests.support.system import SystemClient

Delivery = tuple[str, str, int, int]
"""Service, topic, partition and offset of a record."""


@dataclass
class Traces:
    """What has been read, and how often each record was delivered: services log that at the level DEBUG."""

    read: dict[Path, int] = field(default_factory=dict)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    deliveries: Counter[Delivery] = field(default_factory=Counter)
    reported: int = 0

    async def search(self, client: SystemClient, keys: Canaries) -> list[Hit]:
        """Every new place that holds one of `keys`, in any form."""
        found: list[Hit] = []
        for log in sorted(client.system.logs.glob("*.log")):
            new = self._new(log)
            found += keys.search(log.name, new)
            self._count(log.stem, new)
        for topic in TOPICS:
            records = await client.records(topic.name, self.offsets)
            found += keys.search(topic.name, b"\n".join(_bytes(record) for record in records))
        return found

    def redelivered(self) -> int:
        """Deliveries beyond the first of each record, since the last call."""
        assert self.deliveries, "the services do not log their deliveries"
        more = sum(self.deliveries.values()) - len(self.deliveries)
        new, self.reported = more - self.reported, more
        return new

    def _new(self, log: Path) -> bytes:
        with log.open("rb") as stream:
            stream.seek(self.read.get(log, 0))
            new = stream.read()
        self.read[log] = self.read.get(log, 0) + len(new)
        return new

    def _count(self, service: str, lines: bytes) -> None:
        for line in lines.splitlines():
            if b"message.delivered" in line:
                with suppress(ValueError):  # a process was killed while it wrote
                    entry = json.loads(line)
                    origin = service.split("-", maxsplit=1)[0], entry["topic"], entry["partition"]
                    self.deliveries.update((*origin, offset) for offset in entry["offsets"])


def _bytes(record: Any) -> bytes:
    headers = b"\n".join(name.encode() + b"=" + (value or b"") for name, value in record.headers)
    return b"\n".join((record.key or b"", record.value or b"", headers))
