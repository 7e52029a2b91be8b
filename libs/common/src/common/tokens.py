"""Tokens of the HTTP APIs: only hashes are kept; each has scopes, and may be bound to accounts and to a time."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.fields import AccountId, Instant
from common.problems import Code, ProblemError
from common.settings import StartRefusedError

Scope = Literal["integrations:read", "integrations:write", "costs:read"]
SCOPES: tuple[Scope, ...] = ("integrations:read", "integrations:write", "costs:read")


class TokensError(StartRefusedError):
    """The file of tokens cannot be used; the sentence names the file and what is wrong."""


class Token(BaseModel):
    """What is kept of a token."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    token_id: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Hex SHA-256 of the token, which has 256 random bits and so needs no salt."""
    scopes: tuple[Scope, ...]
    account_ids: tuple[AccountId, ...] | None = None
    """None: every account."""
    expires_at: Instant | None = None


class Tokens(BaseModel):
    """The file of tokens, as JSON."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    tokens: tuple[Token, ...]

    def find(self, secret: str, now: datetime) -> Token | None:
        """The live token whose secret this is; compared in constant time."""
        digest = digest_of(secret)
        found = [token for token in self.tokens if hmac.compare_digest(token.sha256, digest)]
        return next((token for token in found if token.expires_at is None or token.expires_at > now), None)


def digest_of(secret: str) -> str:
    """What is kept of a token's secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def load_tokens(path: Path) -> Tokens:
    """The tokens in `path`; raises TokensError."""
    try:
        return Tokens.model_validate_json(path.read_bytes())
    except OSError as error:
        raise TokensError(f"tokens file {path}: {error.strerror}") from None
    except ValidationError as error:
        raise TokensError(f"tokens file {path}: {error.error_count()} fields are wrong") from None


def needs(scope: Scope, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Callable[[Request], None]:
    """A dependency of a route: a live token with `scope`; of another account everything is 404."""

    def check(request: Request) -> None:
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        tokens: Tokens = request.app.state.tokens
        token = tokens.find(secret.strip(), clock()) if kind.lower() == "bearer" else None
        if token is None:
            raise ProblemError(Code.TOKEN_REFUSED, headers={"WWW-Authenticate": "Bearer"})
        if scope not in token.scopes:
            raise ProblemError(Code.SCOPE_MISSING, f"The token lacks the scope {scope}.", scope=scope)
        if token.account_ids is not None and request.path_params.get("account_id") not in token.account_ids:
            raise ProblemError(Code.NOT_FOUND)

    return check
