"""How long commands, states and results wait is measured, each by its oldest row."""

from common.metrics import BACKLOG_AGE
from common.watchdog import Watchdog
from connector.backlog import QUEUES, Backlog

from tests.connector.support.commands import CommandsHarness, change_plan


async def test_what_waits_is_measured_by_its_oldest_row(commands: CommandsHarness) -> None:
    await commands.connector.add()
    await commands.do(*map(change_plan, ("one", "two")))
    assert await _ages(commands) == {"commands": 0, "states": 0, "results": 0}

    sql = commands.connector.sql
    earlier = (await sql("SELECT clock_timestamp() - interval '10 minutes' AS at"))[0].at
    await sql("UPDATE integrations SET version = version + 1, changed_at = :at", at=earlier)
    await sql("UPDATE commands SET published_at = NULL, done_at = :at WHERE command_id = 'one'", at=earlier)
    assert await _ages(commands) == {"commands": 0, "states": 600, "results": 600}

    await sql("UPDATE commands SET done_at = NULL, body = '{}', received_at = :at WHERE command_id = 'one'", at=earlier)
    assert await _ages(commands) == {"commands": 600, "states": 600, "results": 0}


async def _ages(commands: CommandsHarness) -> dict[str, int]:
    """To the nearest minute."""
    await Backlog(commands.connector.database, Watchdog()).measure()
    found = {queue: BACKLOG_AGE.labels(queue)._value.get() for queue in QUEUES}  # noqa: SLF001 - no other way
    return {queue: round(age / 60) * 60 for queue, age in found.items()}
