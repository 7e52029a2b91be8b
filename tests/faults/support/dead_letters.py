"""The dead letters of a test's poison, and how soon they were written."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from contract.topics import DEAD_LETTERS

from tests.faults.support.sending import Origin, Written
from tests.support.system import SystemClient
from tests.support.waiting import until

WITHIN = 5.0
"""Seconds from a poison's record to its dead letter."""


@dataclass
class DeadLetters:
    """The dead letters since a test began, by ID; of copies the first."""

    client: SystemClient
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)

    async def of(self, written: Collection[Written]) -> dict[str, Any]:
        """Wait for the dead letters of all of them; return those by ID."""
        wanted = {dead_letter_id for one in written for dead_letter_id in one.dead_letter_ids}

        async def missing() -> set[str]:
            for record in await self.client.records(DEAD_LETTERS.name, self.offsets):
                self.found.setdefault(headers_of(record)["dead_letter_id"], record)
            return wanted - self.found.keys()

        await until(missing, lambda left: not left)
        return {dead_letter_id: self.found[dead_letter_id] for dead_letter_id in wanted}


async def dead_letters_from_now(client: SystemClient) -> DeadLetters:
    dead_letters = DeadLetters(client)
    await client.records(DEAD_LETTERS.name, dead_letters.offsets)
    return dead_letters


def headers_of(dead_letter: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in dead_letter.headers}


def origin_of(dead_letter: Any) -> Origin:
    headers = headers_of(dead_letter)
    return headers["dead_letter_topic"], int(headers["dead_letter_partition"]), int(headers["dead_letter_offset"])


def latest(written: Collection[Written], dead_letters: Mapping[str, Any]) -> float:
    """Seconds from a poison to its dead letter, of the slowest."""
    took = [dead_letters[letter_id].timestamp - one.at_ms for one in written for letter_id in one.dead_letter_ids]
    return float(max(took)) / 1000
