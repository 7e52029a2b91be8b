"""What faults leave behind in the services' logs and on the topics, read piece by piece as it grows."""

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
"""Service, topic, partition and offset of a record that was handed over."""


@dataclass
class Traces:
    """What has been read of them, and how often each record was delivered; services log that at the level DEBUG."""

    read: dict[Path, int] = field(default_factory=dict)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    delivered: Counter[Delivery] = field(default_factory=Counter)
    told: int = 0

    async def hits(self, world: SystemClient, keys: Canaries) -> list[Hit]:
        """Every place among the new ones in which one of `keys` stands, in any form."""
        found: list[Hit] = []
        for log in sorted(world.system.logs.glob("*.log")):
            new = self._new(log)
            found += keys.search(log.name, new)
            self._count(log.stem, new)
        for topic in TOPICS:
            records = await world.records(topic.name, self.offsets)
            found += keys.search(topic.name, b"\n".join(_bytes(record) for record in records))
        return found

    def delivered_twice(self) -> int:
        """How many records were delivered more often than once, since this was last asked."""
        assert self.delivered, "the services do not tell what is delivered to them"
        more = sum(self.delivered.values()) - len(self.delivered)
        new, self.told = more - self.told, more
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
                    said = json.loads(line)
                    where = service.split("-", maxsplit=1)[0], said["topic"], said["partition"]
                    self.delivered.update((*where, offset) for offset in said["offsets"])


def _bytes(record: Any) -> bytes:
    headers = b"\n".join(name.encode() + b"=" + (said or b"") for name, said in record.headers)
    return b"\n".join((record.key or b"", record.value or b"", headers))
