"""What operators see of the running system: its lag, its status, and the queue."""

import hashlib
import uuid
from typing import Any

from contract.topics import COSTS

from tests.support.commands import in_process
from tests.support.system import SystemClient
from tests.support.waiting import until


async def test_lag_shows_the_age_of_what_nobody_has_handled_yet(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()

    async def lag() -> dict[str, Any]:
        (mine,) = [one for one in await client.run("lag") if (one["service"], one["topic"]) == ("ledger", COSTS.name)]
        return dict(mine)

    async with client.locked("ledger.days"):
        await client.ask(integration_id, "waits")
        behind = await until(lag, lambda got: got["waiting"] > 0)

    assert behind["since"]
    await client.ended(team, integration_id, "waits")
    caught_up = await until(lag, lambda got: got["waiting"] == 0)  # other tests' days may arrive meanwhile
    assert caught_up["since"] is None


async def test_status_shows_the_whole_system_on_one_page(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    await client.revoke(team)
    await client.force_until_refused(team, integration_id)
    await client.card_with(team, integration_id, "error")

    status = await client.run("status")

    assert set(status) == {"integrations", "to be announced", "windows", "unread", "not reconciled"}
    assert any(one["what"] == "error key_refused" and one["since"] for one in status["integrations"])


async def test_what_xai_answered_is_shown_byte_for_byte(client: SystemClient) -> None:
    _, integration_id = await client.connected_team()
    ((reading_id, sha256),) = await client.rows(
        "SELECT reading_id, encode(sha256, 'hex') FROM syncer.raw_answers WHERE integration_id = %s", integration_id
    )

    shown = await in_process("raw", "show", str(reading_id), env=client.environment)
    (part,) = await client.run("raw", "show", str(reading_id))

    assert hashlib.sha256(shown.stdout.encode()).hexdigest() == sha256 == part["sha256"]
    assert (part["body"], part["integration_id"]) == (shown.stdout, integration_id)
    assert sha256 in shown.stderr
    unknown = await in_process("raw", "show", str(uuid.uuid4()), env=client.environment)
    assert (unknown.status, unknown.stdout) == (2, "")


async def test_a_window_is_retried_and_cancelled_by_its_id(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    await client.fail(team, times=100, status=503)
    await client.ask(integration_id, "stuck")

    async def waiting() -> list[dict[str, Any]]:
        windows = await client.run("windows", "list", "--integration", integration_id)
        return [one for one in windows if one["state"] == "waiting"]

    (window,) = await until(waiting)
    named, unknown = window["window_id"], str(uuid.uuid4())
    report = await client.run("windows", "retry", unknown, named, status=1)
    assert [one["window_id"] for one in report["done"]] == [named]
    refused = [(one["window_id"], one["state"], one["code"]) for one in report["refused"]]
    assert refused == [(unknown, "unknown", "not_found")]
    await until(waiting)

    async def cancelled(*options: str) -> bool:
        return (await in_process("windows", "cancel", named, "--json", *options, env=client.environment)).status == 0

    await until(lambda: cancelled("--dry-run"))
    await until(waiting)
    await until(cancelled)
    assert (await client.ended(team, integration_id, "stuck"))["code"] == "cancelled"

    late = await in_process("windows", "retry", named, env=client.environment)
    assert (late.status, "nothing was done" in late.stdout) == (1, True)
    assert f"{named}: ended. It ended at 20" in late.stderr
    assert "(window_ended)" in late.stderr
