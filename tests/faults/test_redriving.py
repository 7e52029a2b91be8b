"""What a service fails on is dead-lettered, and handled when it is redriven after the fix; the rest remains."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from contract.topics import COSTS, Topic

from tests.faults.support.dead_letters import WITHIN, dead_letters_from_now, headers_of, latest
from tests.faults.support.fault import Fault
from tests.faults.support.load import Load
from tests.faults.support.sending import sending
from tests.faults.support.service_logs import LOGGED_AT_MOST, ServiceLogs
from tests.faults.support.valid import Valid, handled, rows_of, valid
from tests.support import commands
from tests.support.poison import CONSUMERS, Poison, poisons
from tests.support.system import SystemClient

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


@asynccontextmanager
async def rejected_by_its_table(client: SystemClient, message: Valid) -> AsyncIterator[None]:
    """The last of its tables does not accept the message's row: an unknown bug."""
    await _execute(
        client,
        """CREATE FUNCTION public.rejects() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'rejected' USING ERRCODE = 'data_exception'; END $$""",
        f"""CREATE TRIGGER rejects BEFORE INSERT ON {message.tables[-1]} FOR EACH ROW
            WHEN (NEW.{message.column}::text = '{message.row_id}') EXECUTE FUNCTION public.rejects()""",
    )
    try:
        yield
    finally:
        await _execute(client, "DROP FUNCTION public.rejects CASCADE")


async def _execute(client: SystemClient, *statements: str) -> None:
    async with await psycopg.AsyncConnection.connect(client.dsn) as owner:
        for statement in statements:
            await owner.execute(statement.encode())


async def _dead_letters(client: SystemClient, *arguments: str) -> Any:
    env = {"KAFKA_BOOTSTRAP_SERVERS": client.address.kafka}
    done = await commands.in_process("dead-letters", *arguments, "--json", env=env)
    return done.json(status=done.status)


async def _redrive(client: SystemClient, dead_letter_id: str) -> str:
    (result,) = await _dead_letters(client, "redrive", dead_letter_id)
    return str(result["state"])


async def _open_after(client: SystemClient, redrives: int) -> str:
    """The open dead letter of the record that has been redriven so often."""
    found = await _dead_letters(client, "list", "--topic", COSTS.name, "--reason", "header_unknown")
    (dead_letter_id,) = [one["id"] for one in found if one["redrives"] == redrives]
    return str(dead_letter_id)


@pytest.mark.parametrize("topic", CONSUMERS, ids=lambda topic: topic.name)
async def test_what_a_service_fails_on_is_dead_lettered_in_time_and_handled_after_the_fix(
    load: Load, fault: Fault, topic: Topic
) -> None:
    client, bad = load.client, valid(topic, load)
    dead_letters, logs = await dead_letters_from_now(client), ServiceLogs(client.system.logs)
    behind = [valid(topic, load) for _ in range(topic.partitions)]
    value, headers = bad.wire()
    poison = Poison("rejected", "handler_failed", bad.key.encode(), value, tuple(headers))

    async with fault(f"a service fails on a message of {topic.name}") as row, sending(client) as sender:
        async with rejected_by_its_table(client, bad):
            written = await sender.poison(topic, 0, poison, services=(bad.tables[-1].split(".")[0],))
            for partition, one in enumerate(behind):
                await sender.valid(topic, partition, one)
            ((dead_letter_id, dead_letter),) = (await dead_letters.of([written])).items()
            await handled(client, behind)
        state = await _redrive(client, dead_letter_id)
        took = latest([written], {dead_letter_id: dead_letter})
        row.note(f"dead letter in {took:.1f} s")
        row.note(f"{logs.bytes_of([written])} B of log")

    assert headers_of(dead_letter)["dead_letter_reason"] == "handler_failed"
    assert state == ("not_kept" if topic.secret else "handled")
    assert len(await rows_of(client, [bad])) == (0 if topic.secret else len(bad.tables))
    assert logs.bytes_of([written]) <= LOGGED_AT_MOST
    assert took <= WITHIN


async def test_what_nobody_can_read_is_counted_and_refused_after_three_redrives(
    client: SystemClient, fault: Fault
) -> None:
    dead_letters = await dead_letters_from_now(client)
    poison = next(one for one in poisons(COSTS) if one.kind == "an unknown version")
    states = []

    async with fault("an unreadable message is redriven until that is refused"), sending(client) as sender:
        (dead_letter_id,) = await dead_letters.of([await sender.poison(COSTS, 0, poison)])
        for redrives in range(1, 4):
            states.append(await _redrive(client, dead_letter_id))
            dead_letter_id = await _open_after(client, redrives)
        states.append(await _redrive(client, dead_letter_id))

    assert states == ["dead_lettered_again"] * 3 + ["too_often"]
