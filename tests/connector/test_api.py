"""The routes of the connector, as web apps use them."""

from uuid import uuid4

import httpx
import pytest

from tests.connector.support.connector import KEY, TEAM, ConnectorHarness, path_of, team_of
from tests.support.messages import ACCOUNT

CREDENTIALS = {"team_id": TEAM, "management_key": KEY}
SYNC_REQUESTS = "xai.sync-requests.v1"


async def test_a_new_integration_fills_in_its_history(connector: ConnectorHarness) -> None:
    card = await connector.add()

    assert (card["status"], card["plan"], card["label"]) == ("backfilling", "free", f"xAI team {TEAM[:8]}")
    assert (card["backfill"]["days_expected"], card["backfill"]["days_read"]) == (30, 0)


@pytest.mark.parametrize("changes", [{"plan": "gold"}, {"management_key": [KEY]}, {"team_id": None, "label": "\x07"}])
async def test_a_malformed_request_is_rejected_by_field_and_never_echoes_the_key(
    connector: ConnectorHarness, changes: dict[str, object]
) -> None:
    body = {name: value for name, value in (CREDENTIALS | {"plan": "free"} | changes).items() if value is not None}

    problem = await connector.call("POST", "/integrations", body, status=422)

    assert problem["code"] == "request_malformed"
    assert problem["errors"]
    assert KEY not in str(problem)


async def test_a_failed_test_answers_how_long_to_wait(connector: ConnectorHarness) -> None:
    connector.status, connector.headers = 429, {"Retry-After": "17"}

    answer = await connector.http.post("/integrations", json=CREDENTIALS | {"plan": "free"})

    assert (answer.status_code, answer.json()["code"]) == (422, "rate_limited")
    assert answer.headers["retry-after"] == "17"


async def test_a_removed_integration_is_not_found(connector: ConnectorHarness) -> None:
    card = await connector.add()

    await connector.remove(card)

    assert await connector.call("GET", "/integrations") == {"integrations": []}
    await connector.call("GET", path_of(card), status=404)
    await connector.call("DELETE", path_of(card), status=404)


@pytest.mark.parametrize("body", [{"request_id": "mine"}, None])
async def test_a_requested_sync_is_accepted_when_the_broker_has_it(
    connector: ConnectorHarness, body: dict[str, str] | None
) -> None:
    card = await connector.add()

    answer = await connector.call("POST", path_of(card, "/sync"), body, status=202)

    (published,) = connector.publisher.of(SYNC_REQUESTS)
    assert published.message.request_id == answer["request_id"]
    assert (body or answer) == answer
    assert (published.message.trigger, published.key) == ("force", card["integration_id"])


async def test_a_sync_of_some_days_asks_for_these(connector: ConnectorHarness) -> None:
    card = await connector.add()
    days = {"first_day": "2026-11-01", "last_day": "2026-11-03"}

    await connector.call("POST", path_of(card, "/sync"), days, status=202)

    (published,) = connector.publisher.of(SYNC_REQUESTS)
    assert {name: str(getattr(published.message, name)) for name in days} == days


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"first_day": "2026-11-01"}, "body"),
        ({"last_day": "2026-11-01"}, "body"),
        ({"first_day": "2026-11-02", "last_day": "2026-11-01"}, "body"),
        ({"first_day": "2025-10-01", "last_day": "2026-11-05"}, "body"),
        ({"first_day": "yesterday", "last_day": "2026-11-01"}, "body.first_day"),
        ({"first_day": "2026-11-01", "lastday": "2026-11-01"}, "body.lastday"),
    ],
)
async def test_a_sync_of_no_range_of_at_most_400_days_is_refused(
    connector: ConnectorHarness, body: dict[str, str], field: str
) -> None:
    card = await connector.add()

    problem = await connector.call("POST", path_of(card, "/sync"), body, status=422)

    assert field in {error["field"] for error in problem["errors"]}
    assert connector.publisher.of(SYNC_REQUESTS) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("GET", "/integrations?remove=true", None, "query.remove"),
        ("GET", "/integrations?removed=true&removed=false", None, "query.removed"),
        ("POST", "/integrations", CREDENTIALS | {"plan": "free", "lable": "Research"}, "body.lable"),
        ("POST", "/integrations/test", CREDENTIALS | {"plan": "free"}, "body.plan"),
        ("PUT", "/plan", {"plan": "free", "account_id": "other"}, "body.account_id"),
    ],
)
async def test_what_no_route_knows_is_refused_by_name(
    connector: ConnectorHarness, method: str, path: str, body: dict[str, str] | None, field: str
) -> None:
    problem = await connector.call(method, path, body, status=422)

    assert [error["field"] for error in problem["errors"]] == [field]
    assert connector.xai_requests == []


async def test_a_sync_is_refused_while_the_broker_is_unavailable(connector: ConnectorHarness) -> None:
    card = await connector.add()
    connector.publisher.available(available=False)

    answer = await connector.http.post(path_of(card, "/sync"), json={})

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]


@pytest.mark.parametrize(
    ("method", "more", "body"),
    [
        ("GET", "", None),
        ("GET", "/syncs", None),
        ("POST", "/sync", {}),
        ("PUT", "/credential", {"management_key": "another-obviously-fake-key"}),
        ("PATCH", "", {"label": "Mine now"}),
        ("DELETE", "?history=erase", None),
    ],
)
async def test_a_removed_integration_another_accounts_and_an_unknown_one_are_not_found(
    connector: ConnectorHarness, method: str, more: str, body: dict[str, str] | None
) -> None:
    card = await connector.add()
    calls = len(connector.xai_requests)

    for path in (f"http://connector/v1/accounts/other{path_of(card, more)}", f"/integrations/{uuid4()}{more}"):
        assert (await connector.call(method, path, body, status=404))["code"] == "not_found"
    await connector.remove(card, "erase")
    assert (await connector.call(method, path_of(card, more), body, status=404))["code"] == "not_found"
    assert len(connector.xai_requests) == calls


async def test_a_request_without_a_token_is_refused(connector: ConnectorHarness) -> None:
    answer = await connector.http.get("/integrations", headers={"Authorization": ""})

    assert (answer.status_code, answer.json()["code"]) == (401, "token_refused")


# every test of a connection is a call of xAI: an account has so many a minute, whichever route it uses


async def _test(connector: ConnectorHarness, url: str = "", **options: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {options['token']}"} if options else {}
    return await connector.http.post(f"{url}/integrations/test", json=CREDENTIALS, headers=headers)


@pytest.mark.parametrize("tests_per_minute", [3])
async def test_tests_additions_and_new_keys_count_together(connector: ConnectorHarness) -> None:
    card = await connector.add()
    credential, new_key = path_of(card, "/credential"), {"management_key": KEY}
    await connector.call("POST", "/integrations/test", CREDENTIALS)
    await connector.call("PUT", credential, new_key)
    calls = len(connector.xai_requests)

    refused = [
        await _test(connector),
        await connector.http.post("/integrations", json=CREDENTIALS | {"team_id": team_of("another"), "plan": "free"}),
        await connector.http.put(credential, json=new_key),
    ]

    assert {(one.status_code, one.json()["code"]) for one in refused} == {(429, "too_many_requests")}
    assert all(0 < int(one.headers["retry-after"]) <= 20 for one in refused)
    assert len(connector.xai_requests) == calls
    await connector.call("GET", "/integrations")


@pytest.mark.parametrize("tests_per_minute", [3])
async def test_another_account_has_its_own_limit(connector: ConnectorHarness) -> None:
    other = str(connector.http.base_url).replace(ACCOUNT, "another").rstrip("/")

    assert [(await _test(connector)).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert (await _test(connector, other)).status_code == 200


@pytest.mark.parametrize("tests_per_minute", [3])
async def test_a_wrong_token_does_not_use_up_an_accounts_tests(connector: ConnectorHarness) -> None:
    for _ in range(5):
        await _test(connector, token="wrong")  # noqa: S106 - it is one

    assert (await _test(connector)).status_code == 200
