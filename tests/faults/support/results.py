"""How the system ends readings and commands that a test has published."""

import json
from typing import Any
from uuid import UUID

from contract.topics import COMMAND_RESULTS, SYNC_OUTCOMES

from tests.support.system import SystemClient
from tests.support.waiting import until


async def outcomes_of(client: SystemClient, reading_id: UUID) -> list[dict[str, Any]]:
    """Wait until the ledger has reconciled the reading; return its outcomes."""

    async def find() -> list[dict[str, Any]]:
        records = await client.records(SYNC_OUTCOMES.name)
        return [json.loads(one.value) for one in records if str(reading_id).encode() in (one.value or b"")]

    outcomes: list[dict[str, Any]] = await until(find)
    return outcomes


async def command_results(client: SystemClient, command_id: str) -> set[bytes]:
    """Wait for the result of the command; copies of one count once."""

    async def find() -> set[bytes]:
        records = await client.records(COMMAND_RESULTS.name)
        return {one.value for one in records if command_id.encode() in one.value}

    results: set[bytes] = await until(find)
    return results
