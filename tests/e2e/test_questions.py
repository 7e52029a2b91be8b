"""A hiccup of xAI never shows: a day that loses money is read again before it is believed."""

from datetime import date, timedelta
from decimal import Decimal

from tests.support.system import SystemClient
from tests.support.waiting import until
from tests.support.xai import Team

Figures = dict[date, dict[str, Decimal]]
AGE = """
    UPDATE syncer.questions SET asked_at = asked_at - interval '15 minutes', answered_at = answered_at - interval '15 minutes',
        believed_from = believed_from - interval '15 minutes', ask_again_at = ask_again_at - interval '15 minutes'
    WHERE integration_id = %s RETURNING day
"""
CENT = Decimal("0.01")


async def test_a_hiccup_of_xai_changes_nothing_on_screen_and_heals(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    done = await client.force(team, integration_id)
    first, last = date.fromisoformat(done["first_day"]), date.fromisoformat(done["last_day"]) - timedelta(days=1)
    before = await client.shown(team, first, last)

    for scenario in ("empty_once", "one_series_once"):
        await _play(client, team, scenario)
        done = await client.force(team, integration_id)

        assert await client.shown(team, first, last) == before
        assert done["reconciled"] is True
        await _is_asked_again(client, team, integration_id, done["questioned_days"])
        if scenario == "empty_once":
            assert done["questioned_days"] == [str(day) for day, costs in before.items() if sum(costs.values()) > CENT]

        await client.rows(AGE, integration_id)  # a quarter of an hour passes
        await until(lambda: client.card(team, integration_id), lambda card: card["status_text"] == "Active")
        assert await client.shown(team, first, last) == before == await client.served(team, first, last)


async def _play(client: SystemClient, team: Team, scenario: str, **changes: object) -> None:
    await client.control("POST", f"/scenarios/{scenario}", {"team_id": team.team_id} | changes)


async def _is_asked_again(client: SystemClient, team: Team, integration_id: str, days: list[str]) -> None:
    """The card, the line of the history and the operators' list name the days."""
    assert len(days) > 1
    text = f"xAI reports less than before for {len(days)} days: asking again"
    card = await client.card(team, integration_id)
    assert (card["status"], card["status_code"], card["status_text"]) == ("active", None, text)
    assert (card["questioned_days"], (await client.syncs(team, integration_id))[0]["detail"]) == (days, text)
    listed = await client.run("questions", "list", "--integration", integration_id)
    assert [(one["day"], one["waits_for"]) for one in listed] == [(day, "xai") for day in days]


async def test_an_operator_accepts_what_xai_reports(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    done = await client.force(team, integration_id)
    last = date.fromisoformat(done["last_day"])
    day = last - timedelta(days=3)
    await client.restate(team, day, {"SKU A": "7.25", "SKU B": "0.5"})
    await client.force(team, integration_id)
    await client.rows(AGE, integration_id)
    await until(lambda: client.shown(team, day, day), lambda shown: "SKU A" in shown[day])
    await client.restate(team, day, {"SKU B": "0.5"})
    await client.force(team, integration_id)

    would = await client.run("questions", "accept", integration_id, str(day), "--dry-run")
    assert (would[0]["known_usd"], would[0]["answered_usd"], would[0]["accepted"]) == ("7.75", "0.5", False)
    assert (await client.shown(team, day, day))[day] == {"SKU A": Decimal("7.25"), "SKU B": Decimal("0.5")}
    await client.run("questions", "accept", integration_id, str(day))

    await until(lambda: client.shown(team, day, day), lambda shown: shown[day] == {"SKU B": Decimal("0.5")})
    await until(lambda: client.card(team, integration_id), lambda card: card["status_text"] == "Active")
    assert await client.run("questions", "accept", integration_id, str(day), status=1) == []
