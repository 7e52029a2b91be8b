"""A program requests the sealing key, and what it seals with the answer opens."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from common.crypto.key_files import change_keys, create_keys, load_keys
from common.crypto.sealed_commands import SealingKey, encoded, seal
from common.http.app import make_app
from common.http.gate import guard
from common.http.tokens import Tokens, digest_of
from common.watchdog import Watchdog
from connector.commands.opening import SealedCommandOpener
from connector.domain import looks_sealed
from connector.sealing_key import SealingKeyRoutes
from fastapi import FastAPI

from tests.support.fakes import no_lifespan

SECRET = "obviously-a-fake-key"  # noqa: S105 - it opens nothing
SCOPES = ("integrations:read", "integrations:write", "costs:read")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    create_keys(tmp_path / "keys", "first")
    return tmp_path / "keys"


@pytest.fixture
async def http(keys: Path) -> AsyncIterator[httpx.AsyncClient]:
    opener = SealedCommandOpener(keys, "test", clock=iter(range(1000)).__next__)  # a second between two looks
    async with httpx.AsyncClient(transport=httpx.ASGITransport(_app(opener)), base_url="http://connector") as http:
        yield http


def _app(opener: SealedCommandOpener) -> FastAPI:
    async def ready() -> None:
        return None

    app = make_app("connector", Watchdog(), no_lifespan, {"postgres": ready})
    tokens = [{"token_id": str(n), "sha256": digest_of(scope), "scopes": [scope]} for n, scope in enumerate(SCOPES)]
    guard(app, Tokens.model_validate({"tokens": tokens}), requests_per_second=10_000)
    app.include_router(SealingKeyRoutes(opener.recipient, "test").router())
    return app


async def get_key(http: httpx.AsyncClient, token: str = SCOPES[0]) -> Any:
    answer = await http.get("/v1/sealing-key", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_answer_has_all_that_a_program_needs_to_seal(http: httpx.AsyncClient) -> None:
    answer = await get_key(http)

    assert answer | {"public_key": "…"} == {
        "key_id": "first",
        "public_key": "…",
        "suite": {
            "kem": "DHKEM(X25519, HKDF-SHA256)",
            "kem_id": 32,
            "kdf": "HKDF-SHA256",
            "kdf_id": 1,
            "aead": "AES-256-GCM",
            "aead_id": 2,
        },
        "format": "grafient.sealed-command.v1",
        "environment": "test",
    }


async def test_what_is_sealed_with_the_answer_opens(http: httpx.AsyncClient, keys: Path) -> None:
    answer = await get_key(http)

    sealed = seal(SECRET, SealingKey.of(answer), environment=answer["environment"], account_id="a", command_id="c")

    assert looks_sealed(sealed)
    assert SealedCommandOpener(keys, "test").open(sealed, account_id="a", command_id="c") == SECRET


async def test_the_answer_holds_the_public_key_and_nothing_of_the_private_one(
    http: httpx.AsyncClient, keys: Path
) -> None:
    answer, private = await get_key(http), load_keys(keys).by_id["first"]

    assert SealingKey.of(answer) == SealedCommandOpener(keys, "test").recipient()
    assert not [form for form in (encoded(private), b64encode(private).decode(), private.hex()) if form in str(answer)]


@pytest.mark.parametrize("scope", SCOPES)
async def test_every_live_token_may_request_it(http: httpx.AsyncClient, scope: str) -> None:
    assert (await get_key(http, scope))["key_id"] == "first"


async def test_a_request_without_a_token_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/sealing-key")

    assert (answer.status_code, answer.json()["code"]) == (401, "token_refused")


async def test_a_new_current_key_is_returned_without_a_restart(http: httpx.AsyncClient, keys: Path) -> None:
    change_keys(keys, lambda known: known.with_new("second"))
    assert (await get_key(http))["key_id"] == "first"

    change_keys(keys, lambda known: known.using("second"))
    assert (await get_key(http))["key_id"] == "second"


async def test_a_file_that_became_unusable_does_not_stop_the_answers(http: httpx.AsyncClient, keys: Path) -> None:
    keys.chmod(0o644)

    assert (await get_key(http))["key_id"] == "first"
