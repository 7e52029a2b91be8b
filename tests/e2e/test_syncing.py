"""After connecting: Force Sync, the daily run, new models, restatements, refusals."""

import asyncio
import re
from datetime import date
from decimal import Decimal

from tests.support.commands import grafient
from tests.support.system import SystemClient
from tests.support.waiting import until


async def test_force_sync_stores_what_xai_reports_now(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    first = await client.force(team, integration_id)
    today = date.fromisoformat(first["last_day"])
    await client.restate(team, today, {"Chat grok-4-0709": "12.3456789012"})

    done = await client.force(team, integration_id)

    assert (done["trigger"], done["reconciled"], done["code"]) == ("force", True, None)
    shown = await client.shown(team, date.fromisoformat(done["first_day"]), date.fromisoformat(done["last_day"]))
    assert shown[today] == {"Chat grok-4-0709": Decimal("12.3456789012")}


async def test_a_hundred_requests_at_once_share_a_few_calls(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    calls = len(await client.calls(team))

    await asyncio.gather(*(client.ask(integration_id, f"at-once-{number}") for number in range(100)))

    ended = """SELECT count(DISTINCT id) FROM connector.syncs, unnest(request_ids) AS id
               WHERE integration_id = %s AND id LIKE 'at-once-%%' AND final"""
    await until(lambda: client.rows(ended, integration_id), lambda rows: rows == [(100,)])
    assert len(await client.calls(team)) - calls <= 10


async def test_the_daily_run_reads_every_active_integration_once(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()

    for _ in range(2):
        request_id = await _cron(client)
        done = await client.ended(team, integration_id, request_id)

    assert (done["trigger"], done["reconciled"]) == ("daily", True)
    rows = [one for one in await client.syncs(team, integration_id) if request_id in one["request_ids"]]
    assert len(rows) == 1


async def _cron(client: SystemClient) -> str:
    """Emit the day's run; return its request ID."""
    emitted = await grafient("cron", "--once", "--json", env=client.environment)
    assert emitted.status == 0
    (request_id, *_) = re.findall(r"daily:[^\"]+", emitted.stdout)
    return str(request_id)


async def test_a_new_model_appears_without_configuration(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    today = (await client.force(team, integration_id))["last_day"]
    await client.control("POST", f"/teams/{team.team_id}/models", {"label": "Chat grok-9-new", "from_day": today})

    done = await client.force(team, integration_id)

    (day,) = await client.costs(team, date.fromisoformat(done["last_day"]), date.fromisoformat(done["last_day"]))
    found = [one for one in day["models"] if one["label"] == "Chat grok-9-new"]
    assert [(one["product"], one["model"]) for one in found] == [("Chat", "grok-9-new")]


async def test_a_restatement_replaces_the_day_and_leaves_its_revision(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    done = await client.force(team, integration_id)
    day = date.fromisoformat(done["last_day"])
    for usd in ("1.1", "2.2"):
        await client.restate(team, day, {"grok-4-fast": usd})
        done = await client.force(team, integration_id)

    assert done["days_changed"] == 1
    assert (await client.shown(team, day, day))[day] == {"grok-4-fast": Decimal("2.2")}
    revisions = await client.rows(
        "SELECT usd FROM ledger.day_revisions WHERE integration_id = %s AND day = %s ORDER BY said_since",
        integration_id,
        day,
    )
    assert revisions[-1] == (Decimal("1.1"),)


async def test_a_label_that_vanished_leaves_no_amount_behind(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    day = date.fromisoformat((await client.force(team, integration_id))["last_day"])
    await client.restate(team, day, {"Chat grok-4-0709": "3", "grok-4-fast": "4"})
    await client.force(team, integration_id)
    await client.control("POST", f"/teams/{team.team_id}/labels", {"label": "grok-4-fast", "becomes": None})

    await client.force(team, integration_id)

    assert (await client.shown(team, day, day))[day] == {"Chat grok-4-0709": Decimal(3)}


async def test_a_revoked_key_shows_on_the_card_and_stops_the_calls(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    await client.revoke(team)
    refused = await client.force_until_refused(team, integration_id)
    calls = len(await client.calls(team))

    visit = await client.force(team, integration_id, trigger="visit")

    assert (refused["code"], refused["final"]) == ("key_refused", True)
    assert visit["code"] == "key_refused"
    assert len(await client.calls(team)) == calls
    card = await client.card_with(team, integration_id, "error")
    assert card["status_code"] == "key_refused"
    assert card["status_detail"]


async def test_one_refusal_turns_no_card_red(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    await client.fail(team, times=1, status=401)
    request_id = await client.request_sync(team, integration_id)
    await client.pass_first_refusal(integration_id)

    assert (await client.ended(team, integration_id, request_id))["code"] is None
    assert (await client.card(team, integration_id))["status_code"] is None
    assert {one["code"] for one in await client.syncs(team, integration_id)} == {None}


async def test_a_key_that_works_again_heals_the_card(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    await client.revoke(team)
    await client.force_until_refused(team, integration_id)
    await client.control("POST", "/keys/restore", {"key": team.key})

    done = await client.force(team, integration_id)

    assert done["reconciled"] is True
    await client.card_with(team, integration_id, "active")


async def test_a_sync_waits_until_an_outage_of_xai_ends(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    await client.fail(team, times=2, status=503)

    done = await client.force(team, integration_id)

    assert done["reconciled"] is True


async def test_a_visit_soon_after_a_reading_makes_no_call(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    await client.force(team, integration_id)
    calls = len(await client.calls(team))

    visit = await client.force(team, integration_id, trigger="visit")

    assert visit["code"] == "fresh"
    assert len(await client.calls(team)) == calls


async def test_a_truncated_answer_is_requested_in_halves(client: SystemClient) -> None:
    team = await client.team()
    await client.fail(team, limit_reached_over_days=7)

    integration_id = await client.connect(team)

    done = await client.force(team, integration_id)
    first, last = date.fromisoformat(done["first_day"]), date.fromisoformat(done["last_day"])
    assert await client.shown(team, first, last) == await client.served(team, first, last)


async def test_a_request_is_handled_once(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    await client.force(team, integration_id, request_id="by-hand-1")
    calls = len(await client.calls(team))

    again = await client.force(team, integration_id, request_id="by-hand-1")

    assert again["request_ids"] == ["by-hand-1"]
    assert len(await client.calls(team)) == calls


async def test_a_removed_integration_makes_no_more_calls(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    path = team.path(integration_id)

    await client.remove(team, integration_id)

    await client.no_row_is_left("SELECT 1 FROM syncer.credentials WHERE integration_id = %s", integration_id)
    assert (await client.request("POST", f"{path}/sync", {})).status_code == 404
    assert (await client.request("GET", path)).status_code == 404
