#!/usr/bin/env python3
"""Create the secrets that docker-compose.yml mounts into the containers as files; needs only Python 3.9 or later.

Mounted files keep their owner and mode, so they must belong to the user that the containers run as: the one who runs
this (stored in .env, which compose reads), or 10001 if that is root, because nothing runs as root.
"""

import base64
import hashlib
import json
import os
import secrets
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

SERVICES = ("connector", "syncer", "ledger", "console")
SCOPES = ("integrations:read", "integrations:write", "costs:read")
LIVE = {name: f"live/{name}/{name}" for name in ("keyring", "sealing_key", "tokens", "console_links")}
"""Files that change while services run: their folders are mounted, because a file that is mounted alone never changes."""
HTTPS = "live/https"
"""Folder that the proxy of compose's profile `https` keeps its certificates in."""
OWNER = "console"
CONSOLE_TOKEN = "console_api_token"  # noqa: S105 - the name of its file
LATER = (LIVE["sealing_key"], LIVE["console_links"], "console_password", "console_database_url", CONSOLE_TOKEN)
"""Files that an earlier version did not create, and that no other file depends on but the tokens on the last one."""
WITHOUT_ROOT = 10001
HERE = Path(__file__).resolve().parent


def contents(token: str) -> dict[str, str]:
    """Names and contents of all files, newly generated; of `token` only the hash is stored."""
    passwords = {role: secrets.token_urlsafe(32) for role in ("postgres", *SERVICES)}
    console_token = new_token()
    return {
        **{f"{role}_password": password for role, password in passwords.items()},
        **{f"{role}_database_url": _url(role, password) for role, password in passwords.items()},
        LIVE["keyring"]: _keys(),
        LIVE["sealing_key"]: _keys(),
        LIVE["tokens"]: json.dumps({"tokens": [_kept("first", token), _kept(OWNER, console_token)]}),
        LIVE["console_links"]: secrets.token_urlsafe(32),
        CONSOLE_TOKEN: console_token,
    }


def new_token() -> str:
    """A token of the HTTP APIs."""
    return "grafient_" + secrets.token_urlsafe(32)


def _kept(token_id: str, token: str) -> dict[str, object]:
    """What is stored of a token."""
    return {"token_id": token_id, "sha256": hashlib.sha256(token.encode()).hexdigest(), "scopes": SCOPES}


def _keys() -> str:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    return json.dumps({"current": "first", "keys": {"first": key}})


def write(folder: Path, files: dict[str, str], owner: tuple[int, int]) -> None:
    """Create `folder` completely or not at all; raises FileExistsError: replacing a keyring would lose all sealed keys."""
    if folder.exists():
        raise FileExistsError(folder)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".secrets-"))
    for name, content in files.items():
        _put(made / name, content, owner)
    _make(made / HTTPS, owner)
    os.chown(made, *owner)
    made.rename(folder)


def complete(folder: Path, files: dict[str, str]) -> list[str]:
    """Add the files that an earlier version did not create, for the folder's owner; returns their names."""
    owner = (folder.stat().st_uid, folder.stat().st_gid)
    _make(folder / HTTPS, owner)
    missing = [name for name in LATER if not (folder / name).exists()]
    for name in missing:
        _replace(folder / name, files[name], owner)
    if CONSOLE_TOKEN in missing:
        tokens = json.loads((folder / LIVE["tokens"]).read_text(encoding="ascii"))["tokens"]
        others = [one for one in tokens if one["token_id"] != OWNER]
        changed = json.dumps({"tokens": [*others, _kept(OWNER, files[CONSOLE_TOKEN])]})
        _replace(folder / LIVE["tokens"], changed, owner)
    return missing


def _replace(file: Path, content: str, owner: tuple[int, int]) -> None:
    new = file.with_suffix(".new")
    _put(new, content, owner)
    new.rename(file)


def _put(file: Path, content: str, owner: tuple[int, int]) -> None:
    _make(file.parent, owner)
    file.unlink(missing_ok=True)  # of a run that was killed
    file.touch(mode=0o600)
    file.write_text(content, encoding="ascii")
    file.chmod(0o400)
    os.chown(file, *owner)


def _make(folder: Path, owner: tuple[int, int]) -> None:
    for missing in [one for one in (*reversed(folder.parents), folder) if not one.exists()]:
        missing.mkdir(mode=0o700)
        os.chown(missing, *owner)


def _url(role: str, password: str) -> str:
    return f"postgresql+psycopg://{role}:{quote(password, safe='')}@postgres:5432/grafient"


def _owner() -> tuple[int, int]:
    return (os.getuid(), os.getgid()) if os.getuid() else (WITHOUT_ROOT, WITHOUT_ROOT)


def _remember(settings: Path, owner: tuple[int, int]) -> None:
    known = settings.read_text(encoding="utf-8").splitlines() if settings.exists() else []
    lines = [line for line in known if not line.startswith("GRAFIENT_USER=")]
    settings.write_text("\n".join([*lines, f"GRAFIENT_USER={owner[0]}:{owner[1]}", ""]), encoding="utf-8")


def main() -> int:
    token, owner, folder = new_token(), _owner(), HERE / "secrets"
    try:
        write(folder, contents(token), owner)
    except FileExistsError:
        added = complete(folder, contents(token))
        result = f"added {', '.join(added)}" if added else "nothing was changed"
        sys.stderr.write(f"{folder} is there already: {result}\n")
        return int(not added)
    _remember(HERE.parent / ".env", owner)
    sys.stderr.write(f"created {folder}; the token of the HTTP APIs, shown this once:\n")
    sys.stdout.write(f"{token}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
