"""Each oddity of xAI can be played by its name."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from simulator.client import Client
from simulator.scenarios import SCENARIOS
from simulator.teams import DEMO_TEAM, SECOND_KEY, SECOND_TEAM

FIRST, LAST = date(2026, 11, 10), date(2026, 11, 16)
TICK = Decimal("1E-10")


async def _play(simulator: Client, name: str, **fields: object) -> httpx.Response:
    await simulator.scenario(name, **fields)
    return await simulator.ask(FIRST, LAST)


def _points(response: httpx.Response) -> list[tuple[datetime, Decimal]]:
    return [
        (datetime.fromisoformat(point["timestamp"]), Decimal(point["values"][0]))
        for series in json.loads(response.content, parse_float=Decimal, parse_int=Decimal)["timeSeries"]
        for point in series["dataPoints"]
    ]


def _names(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_names, node))
    return set(node) | _names(list(node.values())) if isinstance(node, dict) else set()


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_meets_its_team_only(simulator: Client, name: str) -> None:
    usual = await simulator.ask(date(2026, 9, 1), LAST, team=SECOND_TEAM, key=SECOND_KEY)
    before = await simulator.ask(date(2026, 9, 1), LAST)
    await simulator.scenario(name, team_id=DEMO_TEAM)

    assert (await simulator.ask(date(2026, 9, 1), LAST, team=SECOND_TEAM, key=SECOND_KEY)).content == usual.content
    assert (await simulator.ask(date(2026, 9, 1), LAST)).content != before.content


async def test_an_unknown_scenario_and_unknown_fields_are_refused(simulator: Client) -> None:
    for path, status in (("/scenarios/nonsense", 404), ("/scenarios/noise?", 422)):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            await simulator.control("POST", path, {"nonsense": 1})
        assert refused.value.response.status_code == status


async def test_noise_is_another_at_each_call_and_far_below_a_tick(simulator: Client) -> None:
    exact = _points(await simulator.ask(FIRST, LAST))
    first, second = _points(await _play(simulator, "noise")), _points(await simulator.ask(FIRST, LAST))

    assert first != second
    assert [usd.quantize(TICK) for _, usd in first] == [usd for _, usd in exact]


async def test_a_zero_may_be_a_tiny_amount(simulator: Client) -> None:
    exact = _points(await simulator.ask(FIRST, LAST))
    tiny = _points(await _play(simulator, "tiny_amounts"))

    assert {usd for _, usd in tiny if usd < TICK} == {Decimal("1.2E-45")}
    assert [usd.quantize(TICK) for _, usd in tiny] == [usd for _, usd in exact]


async def test_names_may_be_those_of_the_proto_or_mixed(simulator: Client) -> None:
    proto = {"time_series", "group_labels", "data_points", "limit_reached"}
    assert proto <= _names((await _play(simulator, "proto_names", times=1)).json())
    mixed = _names((await _play(simulator, "mixed_names")).json())
    assert mixed & proto == {"data_points", "limit_reached"}
    assert {"timeSeries", "groupLabels"} <= mixed


@pytest.mark.parametrize(
    ("name", "hour"),
    [("stamped_on_the_eve", -1), ("stamped_at_seven", 7), ("stamped_at_local_midnight", 8), ("other_offset", 0)],
)
async def test_points_may_be_stamped_otherwise(simulator: Client, name: str, hour: int) -> None:
    usual = _points(await simulator.ask(FIRST, LAST))
    found = _points(await _play(simulator, name))

    assert found == [(at + timedelta(hours=hour), usd) for at, usd in usual]


async def test_another_offset_is_another_text_of_the_same_instant(simulator: Client) -> None:
    assert b'"2026-11-09T16:00:00-08:00"' in (await _play(simulator, "other_offset")).content


async def test_points_may_be_hourly(simulator: Client) -> None:
    usual = dict(_points(await simulator.ask(FIRST, FIRST)))
    hourly = _points(await _play(simulator, "hourly", times=1))

    day = datetime(2026, 11, 10, tzinfo=UTC)
    assert {at for at, _ in hourly if at.date() == FIRST} == {day + timedelta(hours=n) for n in range(24)}
    assert len(hourly) == 24 * len(_points(await simulator.ask(FIRST, LAST)))
    assert usual.keys() == {day}


async def test_an_answer_may_be_empty_once_and_one_series_once(simulator: Client) -> None:
    usual = (await simulator.ask(FIRST, LAST)).json()
    assert (await _play(simulator, "empty_once")).json() == {}
    one = (await _play(simulator, "one_series_once")).json()
    assert one == usual | {"timeSeries": usual["timeSeries"][:1]}
    assert (await simulator.ask(FIRST, LAST)).json() == usual


async def test_only_ranges_that_begin_too_early_are_refused(simulator: Client) -> None:
    today = date(2026, 11, 20)
    await simulator.scenario("old_ranges_refused")

    found = [(await simulator.ask(today - timedelta(days=days), today)).status_code for days in (45, 44)]

    assert found == [400, 200]


async def test_refusals_may_be_a_page_or_name_the_key(simulator: Client) -> None:
    page = await _play(simulator, "refused_by_gateway")
    assert (page.status_code, page.headers["content-type"]) == (403, "text/html")
    key = await _play(simulator, "incorrect_key")
    assert key.status_code == 400
    assert "Incorrect API key" in key.json()["error"]
