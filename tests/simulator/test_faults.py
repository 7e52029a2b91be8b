import asyncio
import time
from datetime import date, timedelta

import httpx
import pytest
from simulator.client import Client
from simulator.teams import DEMO_TEAM, REVOKED_KEY, SECOND_KEY, SECOND_TEAM

FIRST, LAST = date(2026, 11, 10), date(2026, 11, 16)


async def ask(simulator: Client, days: int = 7) -> httpx.Response:
    return await simulator.ask(FIRST, FIRST + timedelta(days=days - 1))


async def test_a_status_comes_as_grpc_with_its_headers(simulator: Client) -> None:
    await simulator.fault(status=429, headers={"Retry-After": "7"})
    response = await ask(simulator)
    assert (response.status_code, response.headers["retry-after"], response.json()["code"]) == (429, "7", 8)
    assert (await ask(simulator)).status_code == 200


async def test_faults_queue_up_and_count_down(simulator: Client) -> None:
    await simulator.fault(status=500, times=2)
    await simulator.fault(status=503, times=None)
    assert [(await ask(simulator)).status_code for _ in range(4)] == [500, 500, 503, 503]
    waiting = (await simulator.control("GET", "/faults")).json()["faults"]
    assert [(fault["status"], fault["times"]) for fault in waiting] == [(503, None)]
    await simulator.control("DELETE", "/faults")
    assert (await ask(simulator)).status_code == 200
    assert [seen["status"] for seen in await simulator.requests()] == [500, 500, 503, 503, 200]


async def test_a_fault_of_one_team_spares_the_others(simulator: Client) -> None:
    await simulator.fault(status=500, team_id=DEMO_TEAM)
    assert (await simulator.ask(FIRST, LAST, team=SECOND_TEAM, key=SECOND_KEY)).status_code == 200
    assert (await ask(simulator)).status_code == 500


async def test_a_fault_of_one_day_meets_the_ranges_that_hold_it(simulator: Client) -> None:
    await simulator.fault(limit_reached=True, day=str(LAST), times=None)
    found = [(await ask(simulator, days)).json()["limitReached"] for days in (6, 7)]
    assert found == [False, True]


async def test_a_gateway_hides_a_refusal_too(simulator: Client) -> None:
    await simulator.fault(status=502, html=True)
    response = await simulator.ask(FIRST, LAST, key=REVOKED_KEY)
    assert (response.status_code, response.headers["content-type"]) == (502, "text/html")
    assert response.text.startswith("<!doctype html>")


async def test_a_page_may_come_with_200(simulator: Client) -> None:
    await simulator.fault(html=True)
    response = await ask(simulator)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html")


async def test_a_body_is_sent_as_it_is(simulator: Client) -> None:
    await simulator.fault(body='{"error": "\\ud800')
    assert (await ask(simulator)).text == '{"error": "\\ud800'


async def test_a_cut_answer_is_a_part_and_marked_as_such(simulator: Client) -> None:
    whole = (await ask(simulator)).json()
    await simulator.fault(limit_reached=True)
    cut = (await ask(simulator)).json()
    assert (whole["limitReached"], cut["limitReached"]) == (False, True)
    assert cut["timeSeries"] == whole["timeSeries"][: len(whole["timeSeries"]) // 2]


async def test_only_long_ranges_are_cut(simulator: Client) -> None:
    await simulator.fault(limit_reached_over_days=3, times=None)
    found = [(await ask(simulator, days)).json()["limitReached"] for days in (1, 3, 4, 7)]
    assert found == [False, False, True, True]


async def test_a_redirect_names_its_target(simulator: Client) -> None:
    await simulator.fault(redirect="http://127.0.0.1:9/elsewhere")
    response = await ask(simulator)
    assert (response.status_code, response.headers["location"]) == (307, "http://127.0.0.1:9/elsewhere")


async def test_a_bomb_is_small_until_it_is_opened(simulator: Client) -> None:
    await simulator.fault(gzip_bomb=20_000_000)
    response = await ask(simulator)
    assert int(response.headers["content-length"]) < 100_000
    assert len(response.content) == 20_000_000


async def test_a_delay_is_waited(served: Client) -> None:
    await served.fault(delay_ms=300)
    start = time.monotonic()
    assert (await ask(served)).status_code == 200
    assert time.monotonic() - start >= 0.29


async def test_a_team_has_a_delay_of_its_own(served: Client) -> None:
    await served.control("PUT", f"/teams/{SECOND_TEAM}", {"keys": [{"key": SECOND_KEY}], "delay_ms": 300})
    start = time.monotonic()
    assert (await served.ask(FIRST, LAST, team=SECOND_TEAM, key=SECOND_KEY)).status_code == 200
    assert time.monotonic() - start >= 0.29


async def test_bytes_drip(served: Client) -> None:
    served.http.headers["Accept-Encoding"] = "identity"
    await served.fault(drip_ms=1, body="x" * 100)
    start = time.monotonic()
    assert (await ask(served)).text == "x" * 100
    assert time.monotonic() - start >= 0.09


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("after", [0, 40])
async def test_a_cut_body_ends_short_of_what_was_promised(served: Client, encoding: str, after: int) -> None:
    await served.fault(cut_after_bytes=after)
    served.http.headers["Accept-Encoding"] = encoding
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        await ask(served)
    assert (await ask(served)).status_code == 200


async def test_a_reset_connection_gives_no_answer(served: Client) -> None:
    await served.control("DELETE", "/requests")
    await served.fault(reset=True)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await ask(served)
    assert [seen["status"] for seen in await served.requests()] == [None]


async def test_a_hanging_request_is_never_answered_and_holds_up_no_other(served: Client) -> None:
    await served.control("DELETE", "/requests")
    await served.fault(hang=True)
    hanging = asyncio.create_task(ask(served))
    async with asyncio.timeout(5):
        while not await served.requests():
            await asyncio.sleep(0.01)
    assert (await ask(served)).status_code == 200
    assert not hanging.done()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging


async def test_the_server_is_alive_and_ready(served: Client) -> None:
    assert [(await served.http.get(path)).status_code for path in ("/livez", "/readyz")] == [200, 200]
