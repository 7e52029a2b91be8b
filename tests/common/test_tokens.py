"""Who may ask: a live token with the scope, of the account."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from common.progress import Progress
from common.tokens import TokensError, digest_of, load_tokens, needs
from common.web import make_app
from fastapi import Depends, FastAPI

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SECRET = "obviously-fake-token"  # noqa: S105 - of a test
TOKEN = {"token_id": "web", "sha256": digest_of(SECRET), "scopes": ["costs:read"]}


def written(folder: Path, *tokens: dict[str, object]) -> Path:
    path = folder / "tokens.json"
    path.write_text(json.dumps({"tokens": tokens}))
    return path


async def answer(
    folder: Path, token: dict[str, object], *, header: str | None = f"Bearer {SECRET}", account: str = "a"
) -> int:
    """Status of a request for the costs of `account`."""
    app: FastAPI = make_app("test", Progress(), None, None)  # type: ignore[arg-type]  # neither is asked for
    app.state.tokens = load_tokens(written(folder, TOKEN | token))

    @app.get("/v1/accounts/{account_id}/costs", dependencies=[Depends(needs("costs:read", lambda: NOW))])
    def costs(account_id: str) -> str:
        return account_id

    headers = {} if header is None else {"Authorization": header}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return (await client.get(f"/v1/accounts/{account}/costs", headers=headers)).status_code


@pytest.mark.parametrize(
    ("token", "header", "account", "status"),
    [
        ({}, f"Bearer {SECRET}", "a", 200),
        ({}, f"bearer {SECRET}", "a", 200),
        ({}, None, "a", 401),
        ({}, f"Basic {SECRET}", "a", 401),
        ({}, "Bearer obviously-another", "a", 401),
        ({"expires_at": NOW.isoformat()}, f"Bearer {SECRET}", "a", 401),
        ({"expires_at": (NOW + timedelta(seconds=1)).isoformat()}, f"Bearer {SECRET}", "a", 200),
        ({"scopes": ["integrations:read"]}, f"Bearer {SECRET}", "a", 403),
        ({"account_ids": ["a"]}, f"Bearer {SECRET}", "a", 200),
        ({"account_ids": ["a"]}, f"Bearer {SECRET}", "b", 404),
        ({"account_ids": []}, f"Bearer {SECRET}", "a", 404),
    ],
)
async def test_a_token_opens_what_it_is_for(
    tmp_path: Path, token: dict[str, object], header: str | None, account: str, status: int
) -> None:
    assert await answer(tmp_path, token, header=header, account=account) == status


@pytest.mark.parametrize("content", ["", "{", '{"tokens": [{"sha256": "obviously-fake"}]}'])
def test_a_file_of_tokens_that_cannot_be_used_is_named_without_its_content(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(content)
    with pytest.raises(TokensError) as refused:
        load_tokens(path)
    assert str(path) in str(refused.value)
    assert "obviously-fake" not in str(refused.value)


def test_a_missing_file_of_tokens_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokensError, match="No such file"):
        load_tokens(tmp_path / "none.json")
