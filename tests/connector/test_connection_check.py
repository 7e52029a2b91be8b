"""Test Connection: each answer of xAI, and each mistake in what was entered, has its code and its next step."""

from typing import Any

import pytest

from tests.connector.support.connector import KEY, NOW, TEAM, ConnectorHarness, usage


async def _test(connector: ConnectorHarness, **changes: str) -> Any:
    body = {"team_id": TEAM, "management_key": KEY} | changes
    return await connector.call("POST", "/integrations/test", body)


async def test_a_connection_that_works_names_what_was_used(connector: ConnectorHarness) -> None:
    connector.body = usage(grok="1.5")

    result = await _test(connector)

    assert (result["ok"], result["labels"]) == (True, ["grok"])


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, "{}", "request_refused"),
        (400, '{"code": "invalid", "error": "Incorrect API key provided: fa***ke."}', "key_refused"),
        (401, '{"code": 16, "message": "no"}', "key_refused"),
        (403, '{"code": 7, "message": "no"}', "access_denied"),
        (404, '{"code": 5, "message": "no"}', "team_unknown"),
        (401, "{}", "xai_unavailable"),
        (403, "<!DOCTYPE html><title>Attention Required! | Cloudflare</title>", "xai_unavailable"),
        (404, "", "xai_unavailable"),
        (429, "{}", "rate_limited"),
        (302, "{}", "xai_unavailable"),
        (500, "{}", "xai_unavailable"),
        (200, '{"error": "no"}', "answer_unreadable"),
    ],
)
async def test_every_refusal_has_its_code_and_next_step(
    connector: ConnectorHarness, status: int, body: str, code: str
) -> None:
    connector.status, connector.body = status, body

    result = await _test(connector)

    assert (result["ok"], result["code"]) == (False, code)
    assert result["title"]
    assert result["detail"]


async def test_the_words_of_xai_are_shown_nowhere(connector: ConnectorHarness) -> None:
    connector.status, connector.body = 400, '{"error": "Incorrect API key provided: account details"}'

    assert "account details" not in str(await _test(connector))


async def test_figures_of_other_days_than_were_asked_are_named_as_unreadable(connector: ConnectorHarness) -> None:
    point = f'{{"timestamp": "{NOW.date()}T07:00:00Z", "values": [1.5]}}'
    connector.body = f'{{"timeSeries": [{{"group": ["grok"], "dataPoints": [{point}]}}]}}'

    result = await _test(connector)

    assert (result["ok"], result["code"]) == (False, "answer_unreadable")


async def test_the_time_to_wait_is_in_the_sentence(connector: ConnectorHarness) -> None:
    connector.status, connector.headers = 429, {"Retry-After": "17"}

    assert "17 seconds" in (await _test(connector))["detail"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"team_id": "a/b"}, "team_malformed"),
        ({"team_id": ""}, "team_malformed"),
        ({"team_id": "a" * 65}, "team_malformed"),
        ({"team_id": "t#x"}, "team_malformed"),
        ({"team_id": "team-1"}, "team_malformed"),
        ({"team_id": "a\x00b"}, "team_malformed"),
        ({"management_key": "two words"}, "key_malformed"),
        ({"management_key": "line\nbreak"}, "key_malformed"),
        ({"management_key": "schlüssel"}, "key_malformed"),
        ({"management_key": ""}, "key_malformed"),
        ({"management_key": "k" * 513}, "key_malformed"),
    ],
)
async def test_malformed_credentials_are_refused_by_every_route_without_a_call_of_xai(
    connector: ConnectorHarness, changes: dict[str, str], code: str
) -> None:
    added = {"team_id": TEAM, "management_key": KEY, "plan": "free"} | changes

    assert (await _test(connector, **changes))["code"] == code
    assert (await connector.call("POST", "/integrations", added, status=422))["code"] == code
    assert connector.xai_requests == []


async def test_spaces_around_what_was_pasted_are_removed(connector: ConnectorHarness) -> None:
    assert (await _test(connector, team_id=f" {TEAM}\n", management_key=f"{KEY} "))["ok"] is True


async def test_a_team_id_may_be_written_without_dashes_and_in_capitals(connector: ConnectorHarness) -> None:
    result = await _test(connector, team_id=TEAM.replace("-", "").upper())

    assert (result["ok"], result["hints"]) == (True, [])
    assert connector.xai_requests[0].url.path == f"/v1/billing/teams/{TEAM}/usage"


async def test_a_key_for_chat_completions_gets_a_hint(connector: ConnectorHarness) -> None:
    connector.status, connector.body = 401, '{"code": 16}'

    assert "if this is a key for chat completions" in str(
        (await _test(connector, management_key="xai-obviously-fake"))["hints"]
    )
