"""`grafient reconcile` proves that the ledger holds what was read, and shows every difference."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from contract.topics import COSTS, INTEGRATIONS

from tests.support.commands import in_process
from tests.support.system import SystemClient
from tests.support.xai import Team


async def _reconcile(client: SystemClient, integration_id: str) -> tuple[dict[str, int], list[dict[str, str]]]:
    """Messages by state, and the differences of the integration."""
    report = await _report(client, integration_id)
    return report["messages"], report["differences"]


async def _ask(client: SystemClient, integration_id: str, *arguments: str) -> dict[str, Any]:
    """The report on one integration that xAI is asked about as well."""
    env = client.system.environment_of("syncer")
    return await _report(client, integration_id, "--ask-xai", "--integration", integration_id, *arguments, **env)


async def _report(client: SystemClient, integration_id: str, *arguments: str, **env: str) -> dict[str, Any]:
    """The exit status shows whether there is any difference; the report keeps those of the integration."""
    completed = await in_process("reconcile", *arguments, "--json", env=env | client.environment)
    report: dict[str, Any] = json.loads(completed.stdout)
    differences = report["differences"]
    assert completed.status == bool(differences), completed.stderr
    return report | {"differences": [one for one in differences if one["integration_id"] == integration_id]}


async def _connected(client: SystemClient) -> tuple[Team, str]:
    team, integration_id = await client.connected_team()
    await client.force(team, integration_id)
    await client.consumed("ledger", COSTS)
    return team, integration_id


async def test_what_was_read_and_kept_shows_no_difference(client: SystemClient) -> None:
    _, integration_id = await _connected(client)

    messages, differences = await _reconcile(client, integration_id)

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
async def test_what_is_not_as_it_was_read_is_named(client: SystemClient, harm: str, kinds: Sequence[str]) -> None:
    team, integration_id = await _connected(client)
    ((day,),) = await client.rows(
        "SELECT max(day) FROM ledger.days WHERE integration_id = %s AND day < current_date - 10", integration_id
    )
    await client.rows(f"{harm} RETURNING 1", integration_id, day)

    _, differences = await _reconcile(client, integration_id)

    assert {one["kind"] for one in differences} == set(kinds)
    assert {(one["account_id"], one["days"]) for one in differences} == {(team.account_id, str(day))}
    assert {one["detail"].split(";")[0] for one in differences if one["kind"] == "differs"} <= {
        "other in the ledger: usd"
    }


async def test_a_field_beside_the_amounts_is_no_difference(client: SystemClient) -> None:
    _, integration_id = await _connected(client)
    await client.rows(
        """INSERT INTO ledger.label_lists
           SELECT md5(labels_id::text)::uuid, (SELECT coalesce(jsonb_agg(label || '{"family": "a"}'), '[]')
               FROM jsonb_array_elements(labels) label)
           FROM ledger.label_lists WHERE labels_id IN (SELECT labels_id FROM ledger.days WHERE integration_id = %s)
           RETURNING 1""",
        integration_id,
    )
    await client.rows(
        "UPDATE ledger.days SET labels_id = md5(labels_id::text)::uuid WHERE integration_id = %s RETURNING 1",
        integration_id,
    )

    assert (await _reconcile(client, integration_id))[1] == []


async def test_what_was_erased_or_dead_lettered_is_no_difference(client: SystemClient) -> None:
    team, integration_id = await _connected(client)
    await client.remove(team, integration_id, "erase")
    await client.consumed("ledger", INTEGRATIONS)

    messages, differences = await _reconcile(client, integration_id)

    assert differences == []
    assert messages["erased"] >= 31


async def test_the_ledger_holds_what_xai_reports_now(client: SystemClient) -> None:
    team, integration_id = await _connected(client)
    calls, requests = len(await client.calls(team)), len(await client.records("xai.sync-requests.v1"))

    report = await _ask(client, integration_id)

    assert (report["asked"], report["differences"], report["moved"]) == (1, [], [])
    asked = (await client.calls(team))[calls:]
    assert [one["grouped"] for one in asked] == [True, False]
    assert len(await client.records("xai.sync-requests.v1")) == requests


async def test_a_day_that_was_changed_by_hand_differs_from_xai(client: SystemClient) -> None:
    team, integration_id = await _connected(client)
    ((other,),) = await client.rows(
        """INSERT INTO ledger.label_lists VALUES (gen_random_uuid(), '[{"label": "SKU X", "model": "SKU X"}]')
           RETURNING labels_id"""
    )
    ((day,),) = await client.rows(
        """UPDATE ledger.days SET usd = 1.5, labels_id = %s, amounts = '{1.5}', observed_at = now()
           WHERE integration_id = %s AND day = current_date - 20 RETURNING day""",
        other,
        integration_id,
    )

    report = await _ask(client, integration_id)

    (found,) = [one for one in report["differences"] if one["kind"] == "xai_differs"]
    assert (found["days"], found["account_id"]) == (str(day), team.account_id)
    assert "SKU X: 1.5 here, none at xAI" in found["detail"]


async def test_what_xai_changed_since_is_read_again_and_no_difference(client: SystemClient) -> None:
    team, integration_id = await _connected(client)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    await client.restate(team, yesterday, {"SKU A": "7.25"})

    report = await _ask(client, integration_id, "--since", "2d")

    assert report["differences"] == []
    (moved,) = report["moved"]
    assert (moved["days"], "SKU A: none here, 7.25 at xAI" in moved["detail"]) == (str(yesterday), True)


async def test_an_integration_that_xai_refuses_is_named_with_the_reason(client: SystemClient) -> None:
    team, integration_id = await _connected(client)
    await client.revoke(team)

    report = await _ask(client, integration_id)

    (found,) = report["differences"]
    assert (found["kind"], found["detail"]) == ("not_asked", "key_refused: xAI does not accept this key")
    assert team.key not in json.dumps(report)


async def test_a_missing_keyring_is_named(client: SystemClient) -> None:
    refused = await in_process("reconcile", "--ask-xai", env=client.environment | {"KEYRING_FILE": "/none"})

    assert (refused.status, refused.stdout) == (2, "")
    assert "/none cannot be read" in refused.stderr
