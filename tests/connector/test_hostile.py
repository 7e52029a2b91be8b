"""Hostile input gets a clear code: no call of xAI, nothing stored, nothing repeated anywhere."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from contract.fields import canonical_team_id
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.connector.support.connector import KEY, TEAM, TOKEN, ConnectorHarness, path_of, team_of

CANARY = "canary-7f3a-obviously-fake"
"""A part of every hostile value: where it is found, the value has leaked."""
HOSTILE = {
    "line break": f"{CANARY}\r\nX-Injected: {CANARY}",
    "line feed": f"a\n{CANARY}",
    "tab": f"a\t{CANARY}",
    "NUL": f"a\x00{CANARY}",
    "escape": f"\x1b[31m{CANARY}",
    "delete": f"\x7f{CANARY}",
    "right to left": f"\u202e{CANARY}",
    "zero width": f"a\u200b{CANARY}",
    "line separator": f"a\u2028{CANARY}",
    "byte order mark": f"\ufeff{CANARY}",
    "not ASCII": f"schl\u00fcssel-{CANARY}",
    "full width": f"\uff41{CANARY}",
    "beyond the basic plane": f"\U0001f511{CANARY}",
    "half a character": f"\ud800{CANARY}",
    "space": f"a {CANARY}",
    "10 KiB": CANARY.ljust(10 * 1024, "a"),
    "60 KB": CANARY.ljust(60_000, "a"),
}
ADDRESSES = {
    "way up": f"../../{CANARY}",
    "slash": f"a/{CANARY}",
    "backslash": f"a\\{CANARY}",
    "fragment": f"a#{CANARY}",
    "query": f"a?{CANARY}",
    "another host": f"user@{CANARY}.test",
    "authority": f"//{CANARY}.test/",
    "escaped slash": f"a%2f{CANARY}",
    "dot": f"a.{CANARY}",
    "quote": f"a'; DROP TABLE integrations; --{CANARY}",
    "template": f"{{{{{CANARY}}}}}",
}
"""Characters with a meaning in a URL; a key may contain them."""
WORDS = st.text(max_size=80) | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=600)
IDS = (
    st.from_regex(r"[A-Za-z0-9_-]{0,70}", fullmatch=True)
    | st.uuids().map(str)
    | st.uuids().map(lambda one: one.hex.upper())
)
anything = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
async def nothing_leaks(connector: ConnectorHarness, caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """No log and no row contains the canary."""
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logged:
        yield
    assert CANARY not in str(logged) + caplog.text
    for table in ("accounts", "integrations", "syncs", "account_events"):
        rows = await connector.sql(f"SELECT {table}::text FROM {table}")  # noqa: S608 - names from the line above
        assert CANARY not in str(rows)


async def _send(connector: ConnectorHarness, method: str, path: str, **body: object) -> httpx.Response:
    """In ASCII, which can escape what is no character."""
    return await connector.http.request(
        method, path, content=json.dumps(body), headers={"content-type": "application/json"}
    )


async def _ask(connector: ConnectorHarness, method: str, path: str, **body: object) -> tuple[int, str]:
    answer = await _send(connector, method, path, **body)
    assert CANARY not in answer.text + str(answer.headers)
    return answer.status_code, answer.json()["code"]


async def _any_card(connector: ConnectorHarness) -> dict[str, Any]:
    cards = (await connector.call("GET", "/integrations"))["integrations"]
    return cards[0] if cards else await connector.add()


@pytest.mark.parametrize("team_id", [*HOSTILE.values(), *ADDRESSES.values()], ids=[*HOSTILE, *ADDRESSES])
async def test_a_hostile_team_id_is_no_team_id(connector: ConnectorHarness, team_id: str) -> None:
    credentials = {"team_id": team_id, "management_key": KEY}

    tested = await _ask(connector, "POST", "/integrations/test", **credentials)
    added = await _ask(connector, "POST", "/integrations", **credentials, plan="free")

    assert (tested, added) == ((200, "team_malformed"), (422, "team_malformed"))
    assert (connector.xai_requests, await connector.sql("SELECT 1 FROM integrations, accounts")) == ([], [])


@pytest.mark.parametrize("key", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_key_is_no_key(connector: ConnectorHarness, key: str) -> None:
    card = await connector.add()
    del connector.xai_requests[:]
    credentials = {"team_id": team_of("another"), "management_key": key}

    tested = await _ask(connector, "POST", "/integrations/test", **credentials)
    added = await _ask(connector, "POST", "/integrations", **credentials, plan="free")
    replaced = await _ask(connector, "PUT", path_of(card, "/credential"), management_key=key)

    assert (tested, added, replaced) == ((200, "key_malformed"), *[(422, "key_malformed")] * 2)
    assert connector.xai_requests == []
    assert await connector.card(card) == card


@anything
@given(WORDS | IDS, WORDS)
@example(f" {TEAM}\n", f"\t{KEY} ")
async def test_xai_is_called_with_exactly_the_entered_team_and_key_or_not_at_all(
    connector: ConnectorHarness, team_id: str, key: str
) -> None:
    del connector.xai_requests[:]

    answer = await _send(connector, "POST", "/integrations/test", team_id=team_id, management_key=key)

    result = answer.json()
    assert answer.status_code == 200
    assert result.get("code") in {None, "team_malformed", "key_malformed"}
    assert len(connector.xai_requests) == (1 if result["ok"] else 0)
    for request in connector.xai_requests:
        assert str(request.url) == f"https://xai.test/v1/billing/teams/{canonical_team_id(team_id)}/usage"
        assert request.headers["authorization"] == f"Bearer {key.strip()}"


@anything
@given(st.text(max_size=300))
@example("\ud800")
@example(f"\u202e{CANARY[:6]}")
async def test_a_label_is_stored_as_entered_or_rejected(connector: ConnectorHarness, label: str) -> None:
    card = await _any_card(connector)

    answer = await _send(connector, "PATCH", path_of(card), label=label)

    if answer.status_code == 200:
        assert answer.json()["label"] == label == (await connector.card(card))["label"]
    else:
        assert (answer.status_code, answer.json()["code"]) == (422, "request_malformed")


ACCOUNTS = st.text(min_size=1, max_size=80) | st.from_regex(r"[A-Za-z0-9_.-]{1,70}", fullmatch=True)


def _is_sent(text: str) -> bool:
    """The client resolves such a part of a path itself, and requests another address."""
    return text not in {".", ".."}


@anything
@given(ACCOUNTS.filter(_is_sent), st.text(max_size=60).filter(_is_sent))
@example("a\x00b", "\x00")
@example("\ud800", "\ud800")
async def test_a_url_of_any_text_finds_nothing_and_breaks_nothing(
    connector: ConnectorHarness, account: str, other: str
) -> None:
    first, second = (quote(text.encode("utf-8", "surrogatepass"), safe="") for text in (account, other))

    answer = await connector.http.get(f"http://connector/v1/accounts/{first}/integrations/{second}")

    assert (answer.status_code, answer.json()["code"]) in {
        (404, "not_found"),
        (405, "method_not_allowed"),
        (422, "request_malformed"),
    }


@anything
@given(st.text(max_size=250))
@example("\ud800")
@example("a\x00b")
async def test_a_request_id_is_published_as_entered_or_rejected(connector: ConnectorHarness, request_id: str) -> None:
    card = await _any_card(connector)
    connector.publisher.published.clear()

    answer = await _send(connector, "POST", path_of(card, "/sync"), request_id=request_id)

    published = [one.message.request_id for one in connector.publisher.of("xai.sync-requests.v1")]
    if answer.status_code == 202:
        assert published == [request_id]
    else:
        assert (answer.status_code, answer.json()["code"], published) == (422, "request_malformed", [])


@anything
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-16")))
@example(b"[" * 60_000)
@example(b'{"a":' * 10_000)
@example(b"1" * 60_000)
@example(b"\xef\xbb\xbf{}")
@example(json.dumps({"team_id": CANARY, "management_key": CANARY}).encode()[:-1])
async def test_a_body_of_any_bytes_is_malformed(connector: ConnectorHarness, body: bytes) -> None:
    answer = await connector.http.post("/integrations", content=body, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (422, "request_malformed")
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    "token", [f"Bearer {CANARY}", f"Bearer {TOKEN}{CANARY}", f"Basic {CANARY}", CANARY, "Bearer \xff"]
)
async def test_a_wrong_token_is_repeated_nowhere(connector: ConnectorHarness, token: str) -> None:
    answer = await connector.http.get("/integrations", headers=[(b"authorization", token.encode("latin-1"))])

    assert (answer.status_code, answer.json()["code"]) == (401, "token_refused")
    assert CANARY not in answer.text + str(answer.headers)
