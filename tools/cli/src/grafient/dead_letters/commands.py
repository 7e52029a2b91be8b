"""`grafient dead-letters`: list what could not be handled, and why; send it to its topic again, or drop it."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import typer
from common.errors import UsageError
from common.settings import KafkaSettings, load

from grafient.cli.output import DryRun, Json, show, table
from grafient.cli.progress import progress_bar
from grafient.cli.tables import Rows
from grafient.cli.time_options import Since
from grafient.dead_letters.redrive import RedriveResult, drop_all, redrive_all
from grafient.dead_letters.topic import DeadLetter, read_dead_letters

app = typer.Typer(no_args_is_help=True, help="Look at dead letters, send them again, or drop them.")

MAX_REDRIVES = 3
"""Times that a record is sent again before only --force does it: one that cannot be handled must not circulate."""

Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="As listed; none: all that the options choose.")
]
OfTopic = Annotated[str | None, typer.Option("--topic", help="Only those from this topic.")]
OfReason = Annotated[str | None, typer.Option("--reason", help="Only those with this reason.")]


@app.command("list", epilog="Example: grafient dead-letters list --topic xai.costs.v1 --since 24h")
def list_(
    *,
    topic: OfTopic = None,
    reason: OfReason = None,
    since: Since = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that were sent again or dropped.")] = False,
    as_json: Json = False,
) -> None:
    """List the open dead letters, oldest first."""
    found = _chosen(_all(since), None, topic, reason, everything=everything)
    rows = [_row(one) for one in found]
    show(rows, table("Dead letters", rows), as_json=as_json)


@app.command("show", epilog="Example: grafient dead-letters show ledger:xai.costs.v1:3:1042")
def show_one(dead_letter_id: Annotated[str, typer.Argument(metavar="ID")], *, as_json: Json = False) -> None:
    """Show one with all that was kept of it."""
    (one,) = _chosen(_all(None), [dead_letter_id], None, None, everything=True)
    row = _row(one) | _content(one)
    show(row, Rows(dead_letter_id, [row], as_records=True), as_json=as_json)


@app.command(epilog="Example: grafient dead-letters redrive --topic xai.costs.v1 --reason handler_failed")
def redrive(
    ids: Ids = None,
    *,
    topic: OfTopic = None,
    reason: OfReason = None,
    since: Since = None,
    force: Annotated[bool, typer.Option(help=f"Also what was sent again {MAX_REDRIVES} times already.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send records to their topic again, and report how each ended; status 1 unless all of them were handled."""
    found = _chosen(_all(since), ids, topic, reason)
    rejected = {one.dead_letter_id: result for one in found if (result := _rejection(one, force=force))}
    sendable = [one for one in found if one.dead_letter_id not in rejected]
    results = [*rejected.values(), *(_would_be_sent(sendable) if dry_run else _redrive(sendable))]
    rows = [
        {"id": one.dead_letter_id, "state": one.state, "letter": one.dead_letter_state, "detail": one.detail}
        for one in results
    ]
    show(rows, table("Results", rows), as_json=as_json)
    raise typer.Exit(any(one.state not in {"handled", "would_be_sent"} for one in results))


@app.command(epilog="Example: grafient dead-letters drop ledger:xai.costs.v1:3:1042")
def drop(
    ids: Ids = None,
    *,
    topic: OfTopic = None,
    reason: OfReason = None,
    since: Since = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Close dead letters without sending them: they stay on the topic until its retention ends, and are listed with --all."""
    if not (ids or topic or reason or since):
        raise typer.BadParameter("name dead letters by ID, or choose by --topic, --reason or --since")
    found = _chosen(_all(since), ids, topic, reason)
    if not dry_run:
        found = asyncio.run(drop_all(load(KafkaSettings), found))
    rows = [_row(one) for one in found]
    show(rows, table("Would be dropped" if dry_run else "Dropped", rows), as_json=as_json)


def _all(since: datetime | None) -> list[DeadLetter]:
    settings = load(KafkaSettings)
    with progress_bar("reading dead letters") as progress:
        return list(asyncio.run(read_dead_letters(settings, since, progress)).values())


def _chosen(
    dead_letters: list[DeadLetter],
    ids: list[str] | None,
    topic: str | None,
    reason: str | None,
    *,
    everything: bool = False,
) -> list[DeadLetter]:
    unknown = set(ids or ()) - {one.dead_letter_id for one in dead_letters}
    if unknown:
        raise UsageError(
            f"no dead letter has the ID {', '.join(sorted(unknown))}", "`grafient dead-letters list --all` shows them"
        )
    return [
        one
        for one in dead_letters
        if (not ids or one.dead_letter_id in ids)
        and topic in {None, one.topic}
        and reason in {None, one.reason}
        and (everything or one.closed is None)
    ]


def _row(one: DeadLetter) -> dict[str, Any]:
    return {
        "id": one.dead_letter_id,
        "at": one.at,
        "reason": one.reason,
        "detail": one.detail,
        "bytes": one.size,
        "redrives": one.redrives,
        "state": one.closed or "open",
    }


def _content(one: DeadLetter) -> dict[str, str]:
    if one.original is None:
        return {
            "value": "not kept: it may hold a key, is too large, or cannot be read; ask its sender to send it again"
        }
    headers = "\n".join(f"{name}: {_text(value)}" for name, value in one.original.headers)
    return {"key": _text(one.original.key), "headers": headers, "value": _text(one.original.value)}


def _text(content: bytes | None) -> str:
    return "" if content is None else content.decode("utf-8", "backslashreplace")


def _would_be_sent(dead_letters: list[DeadLetter]) -> list[RedriveResult]:
    return [RedriveResult(one.dead_letter_id, "would_be_sent", one.topic) for one in dead_letters]


def _redrive(dead_letters: list[DeadLetter]) -> list[RedriveResult]:
    if not dead_letters:
        return []
    with progress_bar("sending again, and waiting for the results") as progress:
        return asyncio.run(redrive_all(load(KafkaSettings), dead_letters, progress))


def _rejection(one: DeadLetter, *, force: bool) -> RedriveResult | None:
    """Why a dead letter is not sent again; None where it is."""
    if one.original is None:
        return RedriveResult(
            one.dead_letter_id, "not_kept", "its content was not kept: ask its sender to send it again"
        )
    if one.redrives >= MAX_REDRIVES and not force:
        detail = f"it was sent again {one.redrives} times: fix the cause, then use --force"
        return RedriveResult(one.dead_letter_id, "too_often", detail)
    return None
