"""Who may ask: a live token with the scope, of the account."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from common.http.app import make_app
from common.http.gate import guard
from common.http.tokens import LiveTokens, TokensError, digest_of, load_tokens, needs, new_secret
from common.redaction import redacted_text
from common.watchdog import Watchdog
from common.watched_file import CHECK_EVERY
from fastapi import Depends, FastAPI, Request
from structlog.testing import capture_logs

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SECRET = "obviously-fake-token"  # noqa: S105 - of a test
TOKEN = {"token_id": "web", "sha256": digest_of(SECRET), "scopes": ["costs:read"]}
OTHER = {"token_id": "web-2", "sha256": digest_of("obviously-another"), "scopes": ["costs:read"]}
SEALING_KEY, COSTS = "/v1/sealing-key", "/v1/accounts/{}/costs"


class Clock:
    """Of the files (seconds), and of the tokens (aware, UTC)."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def look(self) -> None:
        """So much later that files are looked at again."""
        self.seconds += CHECK_EVERY


class Service:
    """A service with a route of an account and one of none, and its file of tokens."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tokens.json"
        self.clock = Clock()
        self.write(TOKEN)
        self.app: FastAPI = make_app("test", Watchdog(), None, None)  # type: ignore[arg-type]  # neither is used
        guard(self.app, LiveTokens(self.path, self.clock), requests_per_second=10_000, clock=self.clock.now)
        checks = [Depends(needs("costs:read"))]
        self.app.get(SEALING_KEY, dependencies=checks)(self.of_nobody)
        self.app.get(COSTS.format("{account_id}"), dependencies=checks)(self.of_an_account)

    async def of_nobody(self, request: Request) -> bool:
        """As a stream asks again while it is open; meanwhile the test may change the file."""
        self.during()
        return bool(request.app.state.tokens.is_live(request.state.token, self.clock.now()))

    async def of_an_account(self, account_id: str) -> str:
        return account_id

    def during(self) -> None:
        """What happens while a request is handled."""

    def write(self, *tokens: dict[str, Any]) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"tokens": tokens}))
        new.chmod(0o600)
        new.replace(self.path)

    async def get(self, path: str, header: str | None = f"Bearer {SECRET}") -> httpx.Response:
        headers = {} if header is None else {"Authorization": header}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://test") as client:
            return await client.get(path, headers=headers)

    async def status(self, header: str | None = f"Bearer {SECRET}") -> int:
        return (await self.get(COSTS.format("a"), header)).status_code


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


@pytest.mark.parametrize(
    ("token", "header", "account", "status"),
    [
        ({}, f"Bearer {SECRET}", "a", 200),
        ({}, f"bearer {SECRET}", "a", 200),
        ({}, None, "a", 401),
        ({}, "Bearer", "a", 401),
        ({}, f"Basic {SECRET}", "a", 401),
        ({}, "Bearer obviously-another", "a", 401),
        ({}, f"Bearer {SECRET}x", "a", 401),
        ({"expires_at": NOW.isoformat()}, f"Bearer {SECRET}", "a", 401),
        ({"expires_at": (NOW + timedelta(seconds=2)).isoformat()}, f"Bearer {SECRET}", "a", 200),
        ({"scopes": ["integrations:read"]}, f"Bearer {SECRET}", "a", 403),
        ({"account_ids": ["a"]}, f"Bearer {SECRET}", "a", 200),
        ({"account_ids": ["a"]}, f"Bearer {SECRET}", "b", 404),
        ({"account_ids": []}, f"Bearer {SECRET}", "a", 404),
    ],
)
async def test_a_token_opens_what_it_is_for(
    service: Service, token: dict[str, object], header: str | None, account: str, status: int
) -> None:
    service.write(TOKEN | token)
    service.clock.look()

    assert (await service.get(COSTS.format(account), header)).status_code == status


@pytest.mark.parametrize(("scopes", "status"), [(["costs:read"], 200), (["integrations:read"], 403)])
async def test_what_is_of_no_account_needs_the_scope_only(service: Service, scopes: list[str], status: int) -> None:
    service.write(TOKEN | {"scopes": scopes, "account_ids": ["a"]})
    service.clock.look()

    assert (await service.get(SEALING_KEY)).status_code == status


async def test_a_route_without_a_gate_stays_shut() -> None:
    app: FastAPI = make_app("test", Watchdog(), None, None)  # type: ignore[arg-type]  # neither is used

    @app.get("/v1/open", dependencies=[Depends(needs("costs:read"))])
    async def never() -> None: ...

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/v1/open", headers={"Authorization": f"Bearer {SECRET}"})).status_code == 401


async def test_a_token_ends_in_the_middle_of_everything(service: Service) -> None:
    service.write(TOKEN | {"expires_at": (NOW + timedelta(seconds=60)).isoformat()})
    service.clock.look()
    assert await service.status() == 200

    service.clock.seconds = 59.9
    assert await service.status() == 200
    service.clock.seconds = 60
    assert await service.status() == 401


async def test_a_token_is_exchanged_without_a_gap(service: Service) -> None:
    new = "Bearer obviously-another"
    assert (await service.status(), await service.status(new)) == (200, 401)

    service.write(TOKEN, OTHER)
    service.clock.look()
    assert (await service.status(), await service.status(new)) == (200, 200)

    service.write(OTHER)
    service.clock.look()
    assert (await service.status(), await service.status(new)) == (401, 200)


@pytest.mark.parametrize(
    ("changed", "live"),
    [
        ([TOKEN], True),
        ([OTHER, TOKEN], True),
        ([], False),
        ([OTHER], False),
        ([TOKEN | {"scopes": []}], False),
        ([TOKEN | {"account_ids": ["a"]}], False),
        ([TOKEN | {"expires_at": NOW.isoformat()}], False),
    ],
)
async def test_a_stream_that_checks_again_learns_that_its_token_lost_a_right(
    service: Service,
    changed: list[dict[str, Any]],
    live: bool,  # noqa: FBT001 - a parameter
) -> None:
    def during() -> None:
        service.write(*changed)
        service.clock.look()

    service.during = during  # type: ignore[method-assign]  # of this test only

    assert (await service.get(SEALING_KEY)).json() is live


async def test_a_stream_that_checks_again_learns_that_its_token_has_expired(service: Service) -> None:
    service.write(TOKEN | {"expires_at": (NOW + timedelta(seconds=2)).isoformat()})
    service.clock.look()
    service.during = service.clock.look  # type: ignore[method-assign]  # of this test only

    assert (await service.get(SEALING_KEY)).json() is False


@pytest.mark.parametrize("content", ["", "{", '{"tokens": [{"sha256": "obviously-fake"}]}'])
async def test_a_broken_file_changes_nothing_and_is_logged_once(service: Service, content: str) -> None:
    with capture_logs() as logs:
        service.path.write_text(content)
        for _ in range(3):
            service.clock.look()
            assert await service.status() == 200

    assert [one["log_level"] for one in logs] == ["error"]
    assert str(service.path) in str(logs)
    assert "obviously-fake" not in str(logs)

    service.write()
    service.clock.look()
    assert await service.status() == 401


async def test_a_file_that_others_can_write_to_is_refused_until_its_mode_is_fixed(service: Service) -> None:
    service.write(TOKEN, OTHER)
    service.path.chmod(0o602)
    service.clock.look()
    assert await service.status("Bearer obviously-another") == 401

    service.path.chmod(0o644)
    service.clock.look()
    assert await service.status("Bearer obviously-another") == 200


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "wrong, the first at its beginning"),
        ('{"tokens": [{"sha256": "obviously-fake"}]}', "3 fields are wrong, the first at tokens.0.token_id"),
        (json.dumps({"tokens": [TOKEN | {"obviously-fake": 1}]}), "1 fields are wrong, the first at tokens.0"),
        (json.dumps({"tokens": [TOKEN | {"account_id": ["a"]}]}), "1 fields are wrong"),
        (json.dumps({"tokens": [TOKEN | {"token_id": "obviously fake"}]}), "the first at tokens.0.token_id"),
        (json.dumps({"tokens": [TOKEN, OTHER | {"token_id": "web"}]}), "two tokens have the same ID"),
    ],
)
def test_a_file_of_tokens_that_cannot_be_used_is_named_without_its_content(
    tmp_path: Path, content: str, sentence: str
) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(TokensError) as refused:
        load_tokens(path)

    assert str(refused.value).startswith(f"tokens file {path}: ")
    assert sentence in str(refused.value)
    assert "obviously-fake" not in str(refused.value)


def test_a_missing_file_of_tokens_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokensError, match="No such file"):
        load_tokens(tmp_path / "none.json")


def test_a_new_token_has_256_random_bits_and_is_known_by_its_beginning() -> None:
    secrets = {new_secret() for _ in range(1000)}

    assert len(secrets) == 1000
    assert {(one.startswith("grafient_"), len(one)) for one in secrets} == {(True, 9 + 43)}


def test_a_token_that_strays_into_a_log_is_taken_out() -> None:
    secret = new_secret()

    assert secret[12:] not in redacted_text(f"GET /v1/x?{secret} and {{'a': '{secret}'}}")
