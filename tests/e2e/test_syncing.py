"""After connecting: Force Sync, the daily run, new models, restatements, refusals."""

import asyncio
import sys
from datetime import date
from decimal import Decimal

from tests.support.system import SystemClient
from tests.support.waiting import until


async def test_force_sync_brings_what_xai_says_now(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    first = await world.force(team, integration_id)
    today = date.fromisoformat(first["last_day"])
    await world.restate(team, today, {"Chat grok-4-0709": "12.3456789012"})

    done = await world.force(team, integration_id)

    assert (done["trigger"], done["reconciled"], done["code"]) == ("force", True, None)
    shown = await world.shown(team, date.fromisoformat(done["first_day"]), date.fromisoformat(done["last_day"]))
    assert shown[today] == {"Chat grok-4-0709": Decimal("12.3456789012")}


async def test_the_daily_run_reads_every_active_integration_once(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)

    for _ in range(2):
        request_id = await _cron(world)
        done = await world.ended(team, integration_id, request_id)

    assert (done["trigger"], done["reconciled"]) == ("daily", True)
    rows = [one for one in await world.syncs(team, integration_id) if request_id in one["request_ids"]]
    assert len(rows) == 1


async def _cron(world: SystemClient) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "grafient",
        "cron",
        "--once",
        "--json",
        env={"KAFKA_BOOTSTRAP_SERVERS": world.address.kafka},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    line = next(line for line in output.decode().splitlines() if "daily:" in line)
    return line[line.index("daily:") :].split('"')[0]


async def test_a_new_model_appears_by_itself(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    today = (await world.force(team, integration_id))["last_day"]
    await world.control("POST", f"/teams/{team.team_id}/models", {"label": "Chat grok-9-new", "from_day": today})

    done = await world.force(team, integration_id)

    (day,) = await world.costs(team, date.fromisoformat(done["last_day"]), date.fromisoformat(done["last_day"]))
    found = [one for one in day["models"] if one["label"] == "Chat grok-9-new"]
    assert [(one["product"], one["model"]) for one in found] == [("Chat", "grok-9-new")]


async def test_a_restatement_replaces_the_day_and_leaves_its_revision(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    done = await world.force(team, integration_id)
    day = date.fromisoformat(done["first_day"])
    for usd in ("1.1", "2.2"):
        await world.restate(team, day, {"grok-4-fast": usd})
        done = await world.force(team, integration_id)

    assert done["days_changed"] == 1
    assert (await world.shown(team, day, day))[day] == {"grok-4-fast": Decimal("2.2")}
    revisions = await world.rows(
        "SELECT usd FROM ledger.day_revisions WHERE integration_id = %s AND day = %s ORDER BY said_since",
        integration_id,
        day,
    )
    assert revisions[-1] == (Decimal("1.1"),)


async def test_a_label_that_vanished_leaves_no_amount_behind(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    day = date.fromisoformat((await world.force(team, integration_id))["first_day"])
    await world.restate(team, day, {"Chat grok-4-0709": "3", "grok-4-fast": "4"})
    await world.force(team, integration_id)
    await world.control("POST", f"/teams/{team.team_id}/labels", {"label": "grok-4-fast", "becomes": None})

    await world.force(team, integration_id)

    assert (await world.shown(team, day, day))[day] == {"Chat grok-4-0709": Decimal(3)}


async def test_a_revoked_key_shows_on_the_card_and_stops_the_calls(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.control("POST", "/keys/revoke", {"key": team.key})
    refused = await world.force(team, integration_id)
    calls = len(await world.calls(team))

    visit = await world.force(team, integration_id, trigger="visit")

    assert (refused["code"], refused["final"]) == ("key_refused", True)
    assert visit["code"] == "key_refused"
    assert len(await world.calls(team)) == calls
    card = await until(lambda: world.card(team, integration_id), lambda got: got["status"] == "error")
    assert card["status_code"] == "key_refused"
    assert card["status_detail"]


async def test_a_key_that_works_again_heals_the_card(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.control("POST", "/keys/revoke", {"key": team.key})
    await world.force(team, integration_id)
    await world.control("POST", "/keys/restore", {"key": team.key})

    done = await world.force(team, integration_id)

    assert done["reconciled"] is True
    await until(lambda: world.card(team, integration_id), lambda got: got["status"] == "active")


async def test_an_outage_of_xai_is_waited_for(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.control("POST", "/faults", {"team_id": team.team_id, "times": 2, "status": 503})

    done = await world.force(team, integration_id)

    assert done["reconciled"] is True


async def test_a_visit_soon_after_a_reading_makes_no_call(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.force(team, integration_id)
    calls = len(await world.calls(team))

    visit = await world.force(team, integration_id, trigger="visit")

    assert visit["code"] == "fresh"
    assert len(await world.calls(team)) == calls


async def test_a_cut_answer_is_asked_for_in_halves(world: SystemClient) -> None:
    team = await world.team()
    await world.control("POST", "/faults", {"team_id": team.team_id, "times": None, "limit_reached_over_days": 7})

    integration_id = await world.connect(team)

    done = await world.force(team, integration_id)
    first, last = date.fromisoformat(done["first_day"]), date.fromisoformat(done["last_day"])
    assert await world.shown(team, first, last) == await world.served(team, first, last)


async def test_a_request_is_taken_once(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    await world.force(team, integration_id, request_id="by-hand-1")
    calls = len(await world.calls(team))

    again = await world.force(team, integration_id, request_id="by-hand-1")

    assert again["request_ids"] == ["by-hand-1"]
    assert len(await world.calls(team)) == calls


async def test_a_removed_integration_makes_no_more_calls(world: SystemClient) -> None:
    team = await world.team()
    integration_id = await world.connect(team)
    path = f"/accounts/{team.account_id}/integrations/{integration_id}"

    assert (await world.request("DELETE", f"{path}?history=keep")).status_code == 204

    keys = "SELECT count(*) FROM syncer.credentials WHERE integration_id = %s"
    await until(lambda: world.rows(keys, integration_id), lambda got: got == [(0,)])
    assert (await world.request("POST", f"{path}/sync", {})).status_code == 404
    assert (await world.request("GET", path)).status_code == 404
