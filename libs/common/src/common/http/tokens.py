"""Tokens of the HTTP APIs: only hashes are stored; each has scopes, and may have accounts and an expiry."""

import hashlib
import hmac
import os
import secrets
import stat
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self

from contract.fields import AccountId, Instant
from contract.problems import Code, ProblemError
from fastapi import Request, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from common.settings import StartRefusedError
from common.watched_file import WatchedFile

Scope = Literal["integrations:read", "integrations:write", "costs:read"]
SCOPES: tuple[Scope, ...] = ("integrations:read", "integrations:write", "costs:read")
TokenId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
"""The name of a token: 1-64 of `A-Za-z0-9._-`."""
PREFIX = "grafient_"
"""Of every token that is created here: logs, scanners and people recognise one by it."""
BEARER = HTTPBearer(
    auto_error=False, scheme_name="token", description="A token that the operator issued, with its scopes."
)
"""For OpenAPI; `needs` checks."""

_MAX_FILE_BYTES = 1024 * 1024


class TokensError(StartRefusedError):
    """The file of tokens is unusable; the message names the file and the error."""


class Token(BaseModel):
    """An entry of the file. An unknown field is rejected: a misspelt one was meant to restrict the token."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    token_id: TokenId
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Hex SHA-256 of the token, which has 256 random bits and so needs no salt."""
    scopes: tuple[Scope, ...]
    account_ids: tuple[AccountId, ...] | None = None
    """None: every account."""
    expires_at: Instant | None = None

    def is_live(self, now: datetime) -> bool:
        return self.expires_at is None or self.expires_at > now


class Tokens(BaseModel):
    """The file of tokens, as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    tokens: tuple[Token, ...]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        if len({token.token_id for token in self.tokens}) < len(self.tokens):
            raise ValueError("two tokens have the same ID")
        return self

    def find(self, secret: str, now: datetime) -> Token | None:
        """The live token with this secret; compared in constant time."""
        digest = digest_of(secret)
        found = [token for token in self.tokens if hmac.compare_digest(token.sha256, digest)]
        return next((token for token in found if token.is_live(now)), None)

    def is_live(self, token: Token, now: datetime) -> bool:
        """Whether `token`, found earlier, is still in the file with the same rights, and not expired."""
        return token in self.tokens and token.is_live(now)


class TokenStore(Protocol):
    """The type of `app.state.tokens`: Tokens, or LiveTokens.

    A stream that stays open checks again: `request.app.state.tokens.is_live(request.state.token, now)`.
    """

    def find(self, secret: str, now: datetime) -> Token | None: ...

    def is_live(self, token: Token, now: datetime) -> bool: ...


class LiveTokens:
    """The tokens in a file: a change takes effect within a second, a file that becomes unusable changes nothing."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds; raises TokensError where the file is unusable."""
        self._file = WatchedFile(path, load_tokens, clock)

    def find(self, secret: str, now: datetime) -> Token | None:
        return self._file.content().find(secret, now)

    def is_live(self, token: Token, now: datetime) -> bool:
        return self._file.content().is_live(token, now)


def new_secret() -> str:
    """A token of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """The stored form of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def load_tokens(path: Path) -> Tokens:
    """The tokens in `path`; raises TokensError.

    Others may read it: a hash of 256 random bits is no secret. They must not write to it: that is creating tokens.
    """
    try:
        return Tokens.model_validate_json(_read(path))
    except OSError as error:
        raise TokensError(f"tokens file {path}: {error.strerror}") from None
    except ValidationError as error:
        raise TokensError(f"tokens file {path}: {_reason(error)}") from None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & stat.S_IWOTH:
            raise TokensError(f"tokens file {path}: others can write to it: run chmod o-w")
        return file.read(_MAX_FILE_BYTES)


def _reason(error: ValidationError) -> str:
    """The first error, without any content of the file."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "is not JSON"
    if first["type"] == "value_error":
        return first["msg"].removeprefix("Value error, ")
    known = {*Tokens.model_fields, *Token.model_fields}
    where = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in known)
    return f"{error.error_count()} fields are wrong, the first at {where or 'its beginning'}"


def needs(scope: Scope) -> Callable[..., Awaitable[None]]:
    """A dependency of a route: the token found by `common.http.gate` has `scope`; other accounts are a 404."""

    async def check(request: Request, _shown: Annotated[object, Security(BEARER, scopes=[scope])]) -> None:
        token: Token | None = getattr(request.state, "token", None)
        if token is None:  # there is no gate before this route: it stays closed
            raise unauthorized()
        if scope not in token.scopes:
            raise ProblemError(Code.SCOPE_MISSING, f"The token lacks the scope {scope}.", scope=scope)
        if not _may_see(token, request.path_params.get("account_id")):
            raise ProblemError(Code.NOT_FOUND)

    return check


def _may_see(token: Token, account_id: str | None) -> bool:
    """A route without an account needs the scope only."""
    return account_id is None or token.account_ids is None or account_id in token.account_ids


def unauthorized() -> ProblemError:
    """There is no live token."""
    return ProblemError(Code.TOKEN_REFUSED, headers={"WWW-Authenticate": "Bearer"})
