"""Operators can have it proven that the ledger holds what was read, and are shown every difference."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.commands import in_process
from tests.support.system import SystemClient, Team

COSTS = "xai.costs.v1"


async def _reconcile(world: SystemClient, integration_id: str) -> tuple[dict[str, int], list[dict[str, str]]]:
    """Messages by state, and the differences of the integration; the status shows whether there is any at all."""
    report = await _report(world.environment)
    return report["messages"], [one for one in report["differences"] if one["integration_id"] == integration_id]


async def _ask(world: SystemClient, integration_id: str, *arguments: str) -> dict[str, Any]:
    """The report of one integration with xAI's answers."""
    env = world.system.environment_of("syncer") | {"DATABASE_URL": world.address.database_url}
    report = await _report(env, "--ask-xai", "--integration", integration_id, *arguments)
    return report | {"differences": [one for one in report["differences"] if one["integration_id"] == integration_id]}


async def _report(env: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    result = await in_process("reconcile", *arguments, "--json", env=env)
    report: dict[str, Any] = result.json(status=result.status)
    assert result.status == bool(report["differences"]), result.stdout
    return report


async def _connected(world: SystemClient) -> tuple[Team, str]:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.force(team, integration_id)
    await world.consumed(f"ledger.{COSTS}", COSTS)
    return team, integration_id


async def test_what_was_read_and_kept_shows_no_difference(world: SystemClient) -> None:
    _, integration_id = await _connected(world)

    messages, differences = await _reconcile(world, integration_id)

    assert differences == []
    assert messages["held"] >= 30
    assert messages["stale"] >= 8


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        ("DELETE FROM ledger.days WHERE integration_id = %s AND day = %s", {"missing", "not_covered"}),
        ("UPDATE ledger.days SET usd = usd + 1 WHERE integration_id = %s AND day = %s", {"differs", "sum_differs"}),
    ],
)
async def test_what_is_not_as_it_was_read_is_named(world: SystemClient, harm: str, kinds: Sequence[str]) -> None:
    team, integration_id = await _connected(world)
    ((day,),) = await world.rows(
        "SELECT max(day) FROM ledger.days WHERE integration_id = %s AND day < current_date - 10", integration_id
    )
    await world.rows(f"{harm} RETURNING 1", integration_id, day)

    _, differences = await _reconcile(world, integration_id)

    assert {one["kind"] for one in differences} == set(kinds)
    assert {(one["account_id"], one["days"]) for one in differences} == {(team.account_id, str(day))}


async def test_what_was_erased_or_given_up_is_no_difference(world: SystemClient) -> None:
    team, integration_id = await _connected(world)
    await world.request("DELETE", f"/accounts/{team.account_id}/integrations/{integration_id}?history=erase")
    await world.consumed("ledger.xai.integrations.v1", "xai.integrations.v1")

    messages, differences = await _reconcile(world, integration_id)

    assert differences == []
    assert messages["erased"] >= 31


async def test_what_xai_says_now_is_what_the_ledger_holds(world: SystemClient) -> None:
    team, integration_id = await _connected(world)
    calls, requests = len(await world.calls(team)), len(await world.records("xai.sync-requests.v1"))

    report = await _ask(world, integration_id)

    assert (report["asked"], report["differences"], report["moved"]) == (1, [], [])
    asked = (await world.calls(team))[calls:]
    assert [one["grouped"] for one in asked] == [True, False]
    assert len(await world.records("xai.sync-requests.v1")) == requests


async def test_a_day_that_a_hand_changed_in_tables_and_topic_differs_from_xai(world: SystemClient) -> None:
    team, integration_id = await _connected(world)
    ((day,),) = await world.rows(
        """UPDATE ledger.days SET usd = 1.5, costs = '[{"label": "SKU X", "model": "SKU X", "usd": "1.5"}]',
               observed_at = now() WHERE integration_id = %s AND day = current_date - 20 RETURNING day""",
        integration_id,
    )

    report = await _ask(world, integration_id)

    (found,) = [one for one in report["differences"] if one["kind"] == "xai_differs"]
    assert (found["days"], found["account_id"]) == (str(day), team.account_id)
    assert "SKU X: 1.5 here, none at xAI" in found["detail"]


async def test_what_xai_changed_since_is_read_again_by_itself_and_no_difference(world: SystemClient) -> None:
    team, integration_id = await _connected(world)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    await world.restate(team, yesterday, {"SKU A": "7.25"})

    report = await _ask(world, integration_id, "--since", "2d")

    assert report["differences"] == []
    (moved,) = report["moved"]
    assert (moved["days"], "SKU A: none here, 7.25 at xAI" in moved["detail"]) == (str(yesterday), True)


async def test_an_integration_that_cannot_be_asked_about_is_named_with_the_reason(world: SystemClient) -> None:
    team, integration_id = await _connected(world)
    await world.control("POST", "/keys/revoke", {"key": team.key})

    report = await _ask(world, integration_id)

    (found,) = report["differences"]
    assert (found["kind"], found["detail"]) == ("not_asked", "key_refused: xAI does not accept this key")
    assert team.key not in json.dumps(report)


async def test_a_keyring_that_cannot_be_used_is_named(world: SystemClient) -> None:
    failed = await in_process("reconcile", "--ask-xai", env=world.environment | {"KEYRING_FILE": "/none"})

    assert (failed.status, failed.stdout) == (1, "")
    assert "/none" in failed.stderr
