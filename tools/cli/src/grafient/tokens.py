"""`grafient tokens`: create, list and revoke the tokens of the HTTP APIs. Running services notice within two seconds."""

import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from common.atomic_files import locked, replace
from common.errors import UsageError
from common.http.tokens import SCOPES, Token, TokenId, Tokens, digest_of, load_tokens, new_secret
from contract.fields import AccountId
from pydantic import TypeAdapter, ValidationError

from grafient.cli.output import DryRun, Json, show, stderr, table
from grafient.cli.time_options import duration, instant

app = typer.Typer(no_args_is_help=True, help="Create, list and revoke the tokens of the HTTP APIs.")

File = Annotated[
    Path,
    typer.Option("--file", envvar="API_TOKENS_FILE", metavar="PATH", help="The file of tokens that the services read."),
]
FINGERPRINT = 8
"""Hex digits of a token's SHA-256: enough to recognise a token that was found somewhere, useless to reconstruct it."""


def _checked(kind: TypeAdapter[str], text: str, rule: str) -> str:
    try:
        return kind.validate_python(text)
    except ValidationError:
        raise typer.BadParameter(rule) from None


def _account(text: str) -> str:
    return _checked(TypeAdapter(AccountId), text, "an account is 1-64 of A-Za-z0-9_.-")


def _token_id(text: str) -> str:
    return _checked(TypeAdapter(TokenId), text, "an ID is 1-64 of A-Za-z0-9_.-")


def _scope(text: str) -> str:
    if text not in SCOPES:
        raise typer.BadParameter(f"the scopes are {', '.join(SCOPES)}")
    return text


def _in(text: str) -> datetime:
    if not (ahead := duration(text)):
        raise typer.BadParameter("use 30m, 24h or 90d")
    return datetime.now(UTC) + ahead


def _at(text: str) -> datetime:
    at = instant(text)
    if at <= datetime.now(UTC):
        raise typer.BadParameter("is past: use a future day or instant, such as 2030-01-31 or 2030-01-31T06:00:00Z")
    return at


@app.command(epilog="Example: grafient tokens create --id web-2 --scope costs:read --account acme --expires-in 90d")
def create(
    *,
    file: File,
    scope: Annotated[
        list[str],
        typer.Option(parser=_scope, metavar="SCOPE", help=f"What it may do: {', '.join(SCOPES)}; may be repeated."),
    ],
    account: Annotated[
        list[str] | None,
        typer.Option(parser=_account, metavar="ACCOUNT", help="Only for this one; may be repeated. None: for all."),
    ] = None,
    token_id: Annotated[
        str | None,
        typer.Option("--id", parser=_token_id, metavar="ID", help="Its name; otherwise a random one."),
    ] = None,
    expires_in: Annotated[
        datetime | None,
        typer.Option(parser=_in, metavar="TIME", help="30m, 24h, 90d …; otherwise it is valid until it is revoked."),
    ] = None,
    expires_at: Annotated[
        datetime | None,
        typer.Option(parser=_at, metavar="WHEN", help="A UTC day (its beginning), or an RFC 3339 instant."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Create a token and print it, this once: only its hash is kept. To rotate, create a second one and revoke the first."""
    if expires_in and expires_at:
        raise typer.BadParameter("give --expires-in or --expires-at, not both")
    secret = new_secret()
    token = Token(
        token_id=token_id or f"token-{secrets.token_hex(3)}",
        sha256=digest_of(secret),
        scopes=tuple(one for one in SCOPES if one in scope),
        account_ids=tuple(account) if account else None,
        expires_at=expires_in or expires_at,
    )
    _change(file, lambda tokens: _with(tokens, token), dry_run=dry_run, may_be_new=True)
    _remark(f"{'would create' if dry_run else 'created'} {_described(token)}")
    if not dry_run:
        show(_row(token) | {"token": secret}, secret, as_json=True) if as_json else typer.echo(secret)


@app.command("list", epilog="Example: grafient tokens list --file deploy/secrets/live/tokens/tokens --json")
def list_(*, file: File, as_json: Json = False) -> None:
    """List the tokens: what each may do, for whom, until when, and how its SHA-256 begins."""
    tokens = load_tokens(file).tokens
    show([_row(token) for token in tokens], table("Tokens", [_line(token) for token in tokens]), as_json=as_json)


@app.command(epilog="Example: grafient tokens revoke web-1")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `grafient tokens list` shows it.")],
    *,
    file: File,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Revoke a token: running services refuse it within two seconds, and end the streams that it opened."""
    _change(file, lambda tokens: _without(tokens, token_id), dry_run=dry_run)
    _remark(f"{'would revoke' if dry_run else 'revoked'} {token_id}")
    if as_json:
        show({"revoked": token_id}, "", as_json=True)


def _change(path: Path, edit: Callable[[Tokens], Tokens], *, dry_run: bool, may_be_new: bool = False) -> None:
    """Replace the file as a whole, under a lock. A new one is readable by its owner only."""
    with locked(path):
        is_new = may_be_new and not (path.exists() and path.stat().st_size)
        tokens = edit(Tokens(tokens=()) if is_new else load_tokens(path))
        if dry_run:
            return
        if is_new:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        replace(path, tokens.model_dump_json(indent=2, exclude_none=True).encode() + b"\n")


def _with(tokens: Tokens, token: Token) -> Tokens:
    if any(one.token_id == token.token_id for one in tokens.tokens):
        raise UsageError(f"there is a token {token.token_id} already", "choose another ID, or revoke it first")
    return Tokens(tokens=(*tokens.tokens, token))


def _without(tokens: Tokens, token_id: str) -> Tokens:
    kept = tuple(one for one in tokens.tokens if one.token_id != token_id)
    if len(kept) == len(tokens.tokens):
        raise UsageError("there is no token of that ID", "`grafient tokens list` shows them")
    return Tokens(tokens=kept)


def _row(token: Token) -> dict[str, object]:
    return {
        "token_id": token.token_id,
        "scopes": list(token.scopes),
        "accounts": None if token.account_ids is None else list(token.account_ids),
        "expires_at": token.expires_at,
        "state": _state(token),
        "hash_begins": token.sha256[:FINGERPRINT],
    }


def _line(token: Token) -> dict[str, object]:
    return {
        "id": token.token_id,
        "scopes": token.scopes,
        "accounts": token.account_ids or "all",
        "expires": token.expires_at or "never",
        "state": _state(token),
        "hash": token.sha256[:FINGERPRINT],
    }


def _state(token: Token) -> str:
    return "live" if token.is_live(datetime.now(UTC)) else "expired"


def _described(token: Token) -> str:
    accounts = "every account" if token.account_ids is None else ", ".join(token.account_ids)
    until = "until it is revoked" if token.expires_at is None else f"until {token.expires_at:%Y-%m-%d %H:%M} UTC"
    return f"token {token.token_id}: {', '.join(token.scopes)}, for {accounts}, {until}"


def _remark(text: str) -> None:
    stderr.print(text, markup=False, highlight=False, soft_wrap=True)
