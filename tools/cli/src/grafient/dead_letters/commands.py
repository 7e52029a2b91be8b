"""`grafient dead-letters`: what was given up, why, and sending it to its topic again or putting it away."""

import asyncio
from datetime import datetime
from typing import Annotated

import typer
from common.kafka.ranges import range_of, reader, records_of
from common.settings import KafkaSettings, load
from contract.topics import DEAD_LETTERS
from rich.progress import Progress

from grafient.cli.output import Json, progress_console, show, table
from grafient.cli.time_options import Since
from grafient.dead_letters.letters import Letter, letters_of
from grafient.dead_letters.redrive import Fate, close_all, redrive_all

app = typer.Typer(no_args_is_help=True, help="Look at what was given up, send it again, or put it away.")

MAX_REDRIVES = 3
"""Times that a message is sent again before only --force does it: one that cannot be handled must not go round for ever."""

Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="As listed; none: all that the options choose.")
]
OfTopic = Annotated[str | None, typer.Option("--topic", help="Only those from this topic.")]
OfReason = Annotated[str | None, typer.Option("--reason", help="Only those given up for this reason.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@app.command("list", epilog="Example: grafient dead-letters list --topic xai.costs.v1 --since 24h")
def list_(
    *,
    topic: OfTopic = None,
    reason: OfReason = None,
    since: Since = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that were sent again or put away.")] = False,
    as_json: Json = False,
) -> None:
    """List what stands open, oldest first."""
    found = _chosen(_all(since), None, topic, reason, everything=everything)
    rows = [_row(letter) for letter in found]
    show(rows, table("Dead letters", rows), as_json=as_json)


@app.command("show", epilog="Example: grafient dead-letters show ledger:xai.costs.v1:3:1042")
def show_one(letter_id: Annotated[str, typer.Argument(metavar="ID")], *, as_json: Json = False) -> None:
    """Show one with all that was kept of it."""
    (letter,) = _chosen(_all(None), [letter_id], None, None, everything=True)
    row = _row(letter) | _content(letter)
    rows = [{"field": name, "content": text} for name, text in row.items()]
    show(row, table(letter_id, rows), as_json=as_json)


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
    """Send messages to their topic again, and report what became of each; status 1 unless all of them were handled."""
    found = _chosen(_all(since), ids, topic, reason)
    refused = {letter.letter_id: fate for letter in found if (fate := _refusal(letter, force=force))}
    sendable = [letter for letter in found if letter.letter_id not in refused]
    fates = [*refused.values(), *(_would_be_sent(sendable) if dry_run else _redrive(sendable))]
    rows = [{"id": fate.letter_id, "state": fate.state, "letter": fate.letter, "detail": fate.detail} for fate in fates]
    show(rows, table("What became of them", rows), as_json=as_json)
    raise typer.Exit(any(fate.state not in {"handled", "would_be_sent"} for fate in fates))


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
    """Put letters away without sending them: they stay on the topic until it forgets them, and are listed with --all."""
    if not (ids or topic or reason or since):
        raise typer.BadParameter("name the letters, or choose by --topic, --reason or --since")
    found = _chosen(_all(since), ids, topic, reason)
    if not dry_run:
        found = asyncio.run(close_all(load(KafkaSettings), found))
    rows = [_row(letter) for letter in found]
    show(rows, table("Would be put away" if dry_run else "Put away", rows), as_json=as_json)


def _all(since: datetime | None) -> list[Letter]:
    return list(asyncio.run(_letters(load(KafkaSettings), since)).values())


async def _letters(settings: KafkaSettings, since: datetime | None) -> dict[str, Letter]:
    async with reader(settings) as consumer:
        spans = await range_of(consumer, DEAD_LETTERS, since)
        with Progress(console=progress_console, transient=True) as bar:
            task = bar.add_task("reading dead letters", total=sum(span.count for span in spans.values()))
            found = []
            async for records in records_of(consumer, spans):
                found += records
                bar.advance(task, len(records))
    return letters_of(sorted(found, key=lambda one: (one.timestamp, one.partition, one.offset)))


def _chosen(
    letters: list[Letter], ids: list[str] | None, topic: str | None, reason: str | None, *, everything: bool = False
) -> list[Letter]:
    unknown = set(ids or ()) - {letter.letter_id for letter in letters}
    if unknown:
        raise typer.BadParameter(
            f"no dead letter has the ID {', '.join(sorted(unknown))}: see `grafient dead-letters list --all`"
        )
    return [
        letter
        for letter in letters
        if (not ids or letter.letter_id in ids)
        and topic in {None, letter.topic}
        and reason in {None, letter.reason}
        and (everything or letter.closed is None)
    ]


def _row(letter: Letter) -> dict[str, str]:
    return {
        "id": letter.letter_id,
        "at": f"{letter.at:%Y-%m-%d %H:%M:%S}Z",
        "reason": letter.reason,
        "detail": letter.detail,
        "bytes": str(letter.size),
        "redrives": str(letter.redrives),
        "state": letter.closed or "open",
    }


def _content(letter: Letter) -> dict[str, str]:
    if letter.original is None:
        return {"value": "not kept: it may hold a key, or is too large; ask its sender to send it again"}
    headers = "\n".join(f"{name}: {_text(value)}" for name, value in letter.original.headers)
    return {"key": _text(letter.original.key), "headers": headers, "value": _text(letter.original.value)}


def _text(content: bytes | None) -> str:
    return "" if content is None else content.decode("utf-8", "backslashreplace")


def _would_be_sent(letters: list[Letter]) -> list[Fate]:
    return [Fate(letter.letter_id, "would_be_sent", letter.topic) for letter in letters]


def _redrive(letters: list[Letter]) -> list[Fate]:
    if not letters:
        return []
    with Progress(console=progress_console, transient=True) as bar:
        task = bar.add_task("sending again, and waiting for what becomes of them", total=len(letters))
        return asyncio.run(redrive_all(load(KafkaSettings), letters, lambda: bar.advance(task)))


def _refusal(letter: Letter, *, force: bool) -> Fate | None:
    """Why a letter is not sent again; None where it is."""
    if letter.original is None:
        return Fate(letter.letter_id, "not_kept", "its content was not kept: ask its sender to send it again")
    if letter.redrives >= MAX_REDRIVES and not force:
        return Fate(
            letter.letter_id, "too_often", f"it was sent again {letter.redrives} times: mend the cause, then --force"
        )
    return None
