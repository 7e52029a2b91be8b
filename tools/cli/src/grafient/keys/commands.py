"""`grafient keys`: the keys that seal credentials, and those that web apps seal commands to; rotated while everything runs."""

import asyncio
import time
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from common.crypto.key_files import Keys, change_keys, load_keys
from common.crypto.keyring import load_keyring
from common.crypto.sealing import Rewrapper
from common.hardening import disable_core_dumps
from common.settings import Settings, load

from grafient.cli.output import DryRun, Json, show, table
from grafient.keys.rotation import Checked, Rotation, check_all, rotate
from grafient.keys.usage import Sealed, UsageSettings, key_usage
from grafient.keys.waiting_commands import waiting_for

SETTLED = 30.0
"""Seconds since the last change of the key file: by then nobody seals under the key that was current before."""
ALL_ALIKE = "as everything else: probably of another ENVIRONMENT or keyring"

app = typer.Typer(
    no_args_is_help=True,
    help="""Look after the keys that seal credentials: KEYRING_FILE; with --sealing those that commands are sealed to: \
SEALING_KEY_FILE.

    To rotate, while everything runs: add, use, rewrap, and an hour or two later drop. Where processes have files of
    their own, copy the file to all of them after each of these steps, and go on when the last one has it.""",
)


@app.callback()
def harden() -> None:
    """Keys are open in this process."""
    disable_core_dumps()


class KeyringSettings(Settings):
    """Where the keys that seal credentials are."""

    keyring_file: Path


class SealingSettings(Settings):
    """Where the keys that commands are sealed to are."""

    sealing_key_file: Path


class RotationSettings(UsageSettings, KeyringSettings):
    """What is needed to re-wrap."""

    environment: str = "production"
    """As connector and syncer have it."""


OfSealing = Annotated[bool, typer.Option("--sealing", help="The keys that commands are sealed to.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]


@app.command("list", epilog="Example: grafient keys list --json")
def list_(*, sealing: OfSealing = False, as_json: Json = False) -> None:
    """List the keys, and how many rows and records (superseded ones too) name each; never a key itself."""
    if sealing:
        keys = load_keys(_file(sealing=True))
        rows: list[dict[str, Any]] = [{"id": key_id, "state": _state(keys, key_id)} for key_id in keys.by_id]
    else:
        settings = load(RotationSettings)
        keys = load_keys(settings.keyring_file)
        named = asyncio.run(key_usage(settings))
        ids = [*keys.by_id, *sorted(set().union(*named.values()) - set(keys.by_id))]
        rows = [_row_of_key(keys, key_id, named) for key_id in ids]
    show(rows, table("Keys", rows), as_json=as_json)


@app.command(epilog="Example: grafient keys add 2027-01")
def add(
    key_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="1-40 of A-Za-z0-9._-; none: today's date.")
    ] = None,
    *,
    sealing: OfSealing = False,
    as_json: Json = False,
) -> None:
    """Add a new random key of 256 bits; `use` makes it current."""
    added = ""

    def with_new(keys: Keys) -> Keys:
        nonlocal added
        added = key_id or _of_today(keys)
        return keys.with_new(added)

    change_keys(_file(sealing=sealing), with_new)
    use = f"grafient keys use {added}{' --sealing' if sealing else ''}"
    show({"added": added}, f"added {added}: `{use}` makes it current", as_json=as_json)


@app.command(epilog="Example: grafient keys use 2027-01")
def use(key_id: KeyId, *, sealing: OfSealing = False, as_json: Json = False) -> None:
    """Make a key current: what is sealed from now on is sealed under it."""
    change_keys(_file(sealing=sealing), lambda keys: keys.using(key_id))
    then = "web apps now get its public key" if sealing else "`grafient keys rewrap` moves what is sealed under others"
    show({"current": key_id}, f"{key_id} is current: {then}", as_json=as_json)


@app.command(epilog="Example: grafient keys rewrap")
def rewrap(
    *,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the topic and syncer to follow.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Wrap every sealed credential under the current key, without seeing one; wait until topic and syncer have it.

    It can be stopped at any point and started again. Status 1 where something does not unwrap, or nobody follows.
    """
    done = asyncio.run(_rewrap(load(RotationSettings), dry_run=dry_run, wait=not no_wait and not dry_run))
    show(asdict(done), done.sentence(dry_run=dry_run), as_json=as_json)
    raise typer.Exit(not done.complete)


@app.command(epilog="Example: grafient keys drop 2026-01")
def drop(key_id: KeyId, *, sealing: OfSealing = False, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Drop a key that nothing names any more; with --sealing one that no waiting command is sealed to.

    What is sealed to it afterwards is rejected, and has to be sealed again.

    Backups of the database that were made before need a dropped key: keep it elsewhere for as long as you keep those.
    """
    path = _file(sealing=sealing)
    load_keys(path).without(key_id)
    if reason := _too_early(path, sealing=sealing) or (_needed(key_id) if sealing else _in_use(key_id)):
        show({"dropped": None, "reason": reason}, reason, as_json=as_json)
        raise typer.Exit(1)
    if not dry_run:
        change_keys(path, lambda keys: keys.without(key_id))
    show({"dropped": key_id}, f"{key_id} {'could be' if dry_run else 'is'} dropped", as_json=as_json)


@app.command(epilog="Example: grafient keys check")
def check(*, as_json: Json = False) -> None:
    """Unwrap the data key of every sealed credential of connector and syncer; status 1 where one does not unwrap."""
    settings = load(RotationSettings)
    keys = load_keys(settings.keyring_file)
    checked = asyncio.run(_checked(settings))
    rows = [_row_of_sealed(keys, one) for one in checked.unsealable]
    if checked.nothing_unwraps:
        show([row | {"reason": ALL_ALIKE} for row in rows], _wrong_settings(settings, checked.count), as_json=as_json)
    elif rows or as_json:
        show(rows, table("These do not unwrap", rows), as_json=as_json)
    else:
        typer.echo("every sealed credential unwraps")
    raise typer.Exit(bool(rows))


def _file(*, sealing: bool) -> Path:
    return load(SealingSettings).sealing_key_file if sealing else load(KeyringSettings).keyring_file


def _state(keys: Keys, key_id: str) -> str:
    if key_id not in keys.by_id:
        return "missing"
    return "current" if key_id == keys.current else ""


def _row_of_key(keys: Keys, key_id: str, named: dict[str, Counter[str]]) -> dict[str, Any]:
    return {"id": key_id, "state": _state(keys, key_id)} | {where: named[where][key_id] for where in named}


def _row_of_sealed(keys: Keys, sealed: Sealed) -> dict[str, Any]:
    return {
        "in": sealed.service,
        "integration_id": sealed.binding.integration_id,
        "account_id": sealed.binding.account_id,
        "credential_version": sealed.binding.credential_version,
        "key_id": sealed.key_id,
        "reason": "damaged, moved, or of another environment" if sealed.key_id in keys.by_id else "that key is missing",
    }


def _wrong_settings(settings: RotationSettings, count: int) -> str:
    return (
        f"None of {count} sealed credentials unwraps, so these settings are probably not those that they were sealed with: "
        f"ENVIRONMENT is {settings.environment}, KEYRING_FILE is {settings.keyring_file}. Run this again with the ENVIRONMENT "
        "and the keyring of connector and syncer; if these are theirs, bring back the keyring from its copy."
    )


def _of_today(keys: Keys) -> str:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    others = (f"{today}-{number}" for number in range(2, len(keys.by_id) + 3))
    return next(key_id for key_id in (today, *others) if key_id not in keys.by_id)


def _too_early(path: Path, *, sealing: bool) -> str:
    """Why no key can be dropped yet, and what to do; empty where one can."""
    if (age := time.time() - path.stat().st_mtime) >= SETTLED:
        return ""
    doing = "hand out" if sealing else "seal under"
    return (
        f"{path} was changed {max(age, 0):.0f} s ago, and a process may still {doing} the key that was current before: "
        f"run this again in {SETTLED:.0f} s"
    )


def _needed(key_id: str) -> str:
    """Which commands would be rejected without the key, and until when; empty where there are none."""
    found = asyncio.run(waiting_for(load(UsageSettings), key_id))
    if not found:
        return ""
    last = max(one.expires_at for one in found)
    return (
        f"{len(found)} commands that wait are sealed to {key_id}, and would be rejected as unsealable: run this again when the "
        f"connector has done them (`grafient lag`), at the latest after {last:%Y-%m-%d %H:%M:%S}Z, when the last has expired"
    )


def _in_use(key_id: str) -> str:
    """Why the key cannot be dropped yet, and what to do; empty where it can."""
    named = {where: counts[key_id] for where, counts in asyncio.run(key_usage(load(RotationSettings))).items()}
    if not any(named.values()):
        return ""
    rows = "first `grafient keys rewrap`; " if named["connector"] or named["syncer"] else ""
    return (
        f"{key_id} is named by {named['connector']} rows of connector, {named['syncer']} of syncer and {named['topic']} records "
        f"on the topic: {rows}compaction removes records an hour or two later; run this again then"
    )


async def _rewrap(settings: RotationSettings, *, wait: bool, dry_run: bool) -> Rotation:
    keyring = load_keyring(settings.keyring_file)
    rewrapper = Rewrapper(keyring, settings.environment)
    return await rotate(settings, rewrapper, keyring.current, wait=wait, dry_run=dry_run)


async def _checked(settings: RotationSettings) -> Checked:
    rewrapper = Rewrapper(load_keyring(settings.keyring_file), settings.environment)
    return await check_all(settings, rewrapper)
