"""The folder of a running system: in use by one process at a time; ports and tokens outlive it."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from common.atomic_files import locked, replace
from common.errors import UserError
from common.http.tokens import SCOPES, Token, Tokens, digest_of, load_tokens, new_secret

from grafient.local.processes import free_ports, is_free
from grafient.local.securing import write_private

PORTS = ("connector", "syncer", "ledger", "simulator", "postgres", "kafka", "console")
"""Who listens, in the order of the ports from `--port` on."""
TOKEN_ID, CONSOLE_TOKEN_ID = "local", "console"
LINK_SECRETS = "console_links"


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Make the folder where there is none, and keep others out; raises UserError that names the process that is in."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "that is just starting"
            raise UserError(f"{folder} is in use by process {holder}", "end it, or use another folder") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def ports_of(folder: Path, first: int | None) -> Mapping[str, int]:
    """From `first` on; otherwise those of the start before, or free ones. Raises UserError where one is taken."""
    path = folder / "ports.json"
    kept: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    if first is not None:
        kept = {name: first + number for number, name in enumerate(PORTS)}
    missing = [name for name in PORTS if name not in kept]
    ports = kept | dict(zip(missing, free_ports(len(missing)), strict=True))
    for name, port in ports.items():
        if not is_free(port):
            raise UserError(f"port {port}, for {name}, is in use", "end what listens there, or choose others by --port")
    path.write_text(json.dumps(ports))
    return ports


def local_token(folder: Path, *, keep: bool, token_id: str = TOKEN_ID) -> str:
    """A token with all scopes: with `keep` that of the start before, unless it was revoked. All other tokens stay."""
    path, secret_file = folder / "tokens.json", folder / ("token" if token_id == TOKEN_ID else f"{token_id}_token")
    if not path.exists():
        write_private(path, b'{"tokens": []}')
    with locked(path):
        tokens = load_tokens(path).tokens
        secret = secret_file.read_text() if secret_file.exists() else ""
        if _token(token_id, secret) not in tokens:
            secret = new_secret()
            if keep:
                write_private(secret_file, secret.encode())
            kept = tuple(one for one in tokens if one.token_id != token_id)
            replace(path, Tokens(tokens=(*kept, _token(token_id, secret))).model_dump_json(exclude_none=True).encode())
        return secret


def link_secrets(folder: Path) -> Path:
    """The file of the secret that signs the console's links, made where there is none."""
    path = folder / LINK_SECRETS
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32).encode())
    return path


def _token(token_id: str, secret: str) -> Token:
    return Token(token_id=token_id, sha256=digest_of(secret), scopes=SCOPES)
