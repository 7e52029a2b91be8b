from datetime import date, timedelta
from decimal import Decimal

import httpx
import pytest
from simulator.app import build
from simulator.client import Client
from simulator.costs import costs
from simulator.teams import DEMO_KEY, DEMO_TEAM, INFERENCE_KEY, UNKNOWN_TEAM

SEED = 3
TODAY = date(2026, 11, 20)
DAY = date(2026, 11, 10)
NEW_TEAM = "abcdefab-0000-4000-8000-000000000001"
GROK = "Chat grok-4-0709"


async def on(simulator: Client, day: date, team: str = DEMO_TEAM) -> dict[str, Decimal]:
    return (await simulator.costs(day, day, team=team))[day]


async def edit(simulator: Client, what: str, body: dict[str, object]) -> None:
    await simulator.control("POST", f"/teams/{DEMO_TEAM}/{what}", body)


async def status(simulator: Client, team: str = DEMO_TEAM, key: str = DEMO_KEY) -> int:
    return (await simulator.ask(DAY, DAY, team=team, key=key)).status_code


async def test_the_costs_are_those_of_the_last_ninety_days_unless_asked_otherwise(simulator: Client) -> None:
    days = (await simulator.control("GET", f"/teams/{DEMO_TEAM}/costs")).json()["days"]
    assert (min(days), max(days), len(days)) == (str(TODAY - timedelta(days=89)), str(TODAY), 90)
    assert days[str(DAY)] == {label: f"{usd:f}" for label, usd in costs(SEED, DEMO_TEAM, DAY).items() if usd}


async def test_a_team_is_made_with_its_keys(simulator: Client) -> None:
    keys = [{"key": "fake-a", "name": "a"}, {"key": "fake-b", "scope": False}, {"key": "fake-c", "revoked": True}]
    await simulator.control("PUT", f"/teams/{NEW_TEAM}", {"keys": keys, "seed": 3})
    assert [await status(simulator, NEW_TEAM, f"fake-{key}") for key in "abc"] == [200, 403, 401]
    assert await on(simulator, DAY, NEW_TEAM) == {k: v for k, v in costs(3, NEW_TEAM, DAY).items() if v}
    assert [seen["key"][:7] for seen in await simulator.requests(NEW_TEAM)] == ["a", "sha256:", "sha256:"]


async def test_a_team_put_again_loses_its_keys_and_edits(simulator: Client) -> None:
    before = await on(simulator, DAY)
    await edit(simulator, "restate", {"day": str(DAY), "costs": {}})
    await simulator.control("PUT", f"/teams/{DEMO_TEAM}", {"keys": [{"key": "fake-other"}]})
    assert await on(simulator, DAY) == before
    assert [await status(simulator, key=key) for key in (DEMO_KEY, "fake-other")] == [401, 200]


async def test_a_deleted_team_is_unknown(simulator: Client) -> None:
    await simulator.control("DELETE", f"/teams/{DEMO_TEAM}")
    assert await status(simulator) == 404


async def test_a_day_arrives_over_its_own_hours_and_those_that_it_is_late(simulator: Client) -> None:
    whole = {label: usd for label, usd in costs(SEED, DEMO_TEAM, TODAY).items() if usd}
    assert whole

    async def share(now: str) -> Decimal:
        await simulator.control("PUT", "/clock", {"now": now})
        return sum((await on(simulator, TODAY)).values(), Decimal(0)) / sum(whole.values())

    shares = [await share(f"2026-11-{now}:00Z") for now in ("20T00:59", "20T12:00", "20T23:59", "21T05:59")]
    assert shares == sorted(set(shares))
    assert shares[0] == 0
    assert round(shares[1], 3) == Decimal("0.4")
    await simulator.control("PUT", "/clock", {"now": "2026-11-21T07:00:00+01:00"})
    assert await on(simulator, TODAY) == whole


async def test_a_team_without_lateness_has_its_day_whole_at_once(simulator: Client) -> None:
    await simulator.control("PUT", f"/teams/{DEMO_TEAM}", {"late_hours": None})
    assert await on(simulator, TODAY) == {k: v for k, v in costs(SEED, DEMO_TEAM, TODAY).items() if v}


async def test_the_clock_is_frozen_until_it_is_reset(simulator: Client) -> None:
    running = (await simulator.control("GET", "/clock")).json()
    await simulator.control("PUT", "/clock", {"now": "2026-12-01T00:00:00Z"})
    standing = (await simulator.control("GET", "/clock")).json()
    await simulator.control("PUT", "/clock", {"now": None})
    assert standing == {"now": "2026-12-01T00:00:00+00:00", "frozen": True}
    assert (await simulator.control("GET", "/clock")).json() == running


async def test_a_restated_day_costs_what_it_was_restated_to_and_nothing_else(simulator: Client) -> None:
    await edit(simulator, "restate", {"day": str(TODAY), "costs": {GROK: "1.234567890123", "credit": "-0.5"}})
    assert await on(simulator, TODAY) == {GROK: Decimal("1.234567890123"), "credit": Decimal("-0.5")}


async def test_a_factor_restates_every_amount_exactly(simulator: Client) -> None:
    before = await on(simulator, DAY)
    await edit(simulator, "restate", {"day": str(DAY), "factor": "1.0000000001"})
    assert await on(simulator, DAY) == {label: usd * Decimal("1.0000000001") for label, usd in before.items()}


async def test_late_amounts_are_added_to_a_day_also_where_it_had_none(simulator: Client) -> None:
    await edit(simulator, "restate", {"day": str(DAY), "costs": {"a": "1"}})
    await edit(simulator, "restate", {"day": str(DAY), "add": {"a": "0.5", "b": "2"}})
    assert await on(simulator, DAY) == {"a": Decimal("1.5"), "b": 2}


async def test_labels_are_renamed_and_vanish_from_a_day_on(simulator: Client) -> None:
    await edit(simulator, "restate", {"day": str(DAY), "costs": {"a": "1", "b": "2"}})
    await edit(simulator, "labels", {"label": "a", "becomes": "b", "from_day": str(DAY + timedelta(days=1))})
    assert await on(simulator, DAY) == {"a": 1, "b": 2}
    await edit(simulator, "labels", {"label": "a", "becomes": "b"})
    assert await on(simulator, DAY) == {"b": 3}
    await edit(simulator, "labels", {"label": "b"})
    assert await on(simulator, DAY) == {}


async def test_a_new_model_costs_something_every_day_from_its_first_on(simulator: Client) -> None:
    await edit(simulator, "models", {"label": "grok-6", "from_day": str(DAY)})
    found = await simulator.costs(DAY - timedelta(days=20), TODAY)
    assert {day for day, labels in found.items() if "grok-6" in labels} == {day for day in found if day >= DAY}


async def test_the_endpoint_reports_what_the_control_api_does_after_any_edit(simulator: Client) -> None:
    await edit(simulator, "restate", {"day": str(DAY), "factor": "3"})
    await edit(simulator, "models", {"label": "grok-6", "from_day": str(DAY)})
    await edit(simulator, "labels", {"label": GROK, "becomes": "Chat grok-4-0710"})
    response = (await simulator.ask(DAY, DAY)).text
    for label, usd in (await on(simulator, DAY)).items():
        assert label == "grok-code-fast-1" or f'"{label}"' in response
        assert label == "grok-code-fast-1" or f"[{usd:f}" in response


async def test_a_revoked_key_is_refused_until_it_is_restored(simulator: Client) -> None:
    await simulator.control("POST", "/keys/revoke", {"key": DEMO_KEY})
    assert await status(simulator) == 401
    await simulator.control("POST", "/keys/restore", {"key": DEMO_KEY})
    assert await status(simulator) == 200


async def test_requests_are_remembered_without_the_key(simulator: Client) -> None:
    await simulator.ask(DAY, TODAY, grouped=False)
    await simulator.ask(DAY, TODAY, key=INFERENCE_KEY)
    known, unknown = await simulator.requests()
    assert known == {
        "at": "2026-11-20T12:30:00+00:00",
        "team_id": DEMO_TEAM,
        "key": "demo",
        "first_day": str(DAY),
        "last_day": str(TODAY),
        "grouped": False,
        "status": 200,
    }
    assert unknown["key"].startswith("sha256:")
    assert unknown["key"] not in INFERENCE_KEY
    await simulator.control("DELETE", "/requests")
    assert await simulator.requests() == []


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", f"/teams/{UNKNOWN_TEAM}/costs", None, 404),
        ("PUT", "/teams/no-uuid", {}, 422),
        ("PUT", f"/teams/{NEW_TEAM}", {"more": 1}, 422),
        ("POST", f"/teams/{DEMO_TEAM}/restate", {"day": str(DAY)}, 422),
        ("POST", f"/teams/{DEMO_TEAM}/restate", {"day": str(DAY), "costs": {"a": 1.5}}, 422),
        ("POST", f"/teams/{DEMO_TEAM}/restate", {"day": str(DAY), "costs": {"a": "NaN"}}, 422),
        ("POST", f"/teams/{DEMO_TEAM}/restate", {"day": str(DAY), "factor": "2", "costs": {}}, 422),
        ("POST", "/keys/revoke", {"key": "fake-unknown"}, 404),
        ("POST", "/faults", {"statsu": 500}, 422),
        ("PUT", "/clock", {"now": "2026-11-20T00:00:00"}, 422),
    ],
)
async def test_an_invalid_body_is_refused(
    simulator: Client, method: str, path: str, body: object, expected: int
) -> None:
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await simulator.control(method, path, body)
    assert caught.value.response.status_code == expected


async def test_another_machine_finds_no_control_api() -> None:
    transport = httpx.ASGITransport(build(), client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://xai.test") as http:
        assert (await http.get("/control/clock")).status_code == 404
        assert (await http.get("/livez")).status_code == 200
