"""`grafient topics`: bring the broker's topics to what the code declares, or show where they differ."""

import asyncio
from typing import Annotated

import typer
from common.settings import KafkaSettings, load
from rich.console import Group

from grafient.cli.output import DryRun, Json, show, table
from grafient.topics.acls import GrantDifference, PasswordSettings, apply_grants, grant_differences, set_passwords
from grafient.topics.apply import TopicDifference, apply_topics, topic_differences

app = typer.Typer(no_args_is_help=True, help="Create the topics and who may use them, or check them.")
Acls = Annotated[bool, typer.Option("--acls", help="Also who may read and write what: the broker has an authorizer.")]


@app.command(epilog="Example: KAFKA_BOOTSTRAP_SERVERS=kafka:9092 grafient topics apply --replication 3")
def apply(
    *,
    replication: Annotated[int, typer.Option(min=1, max=9, help="Replicas of each topic; 1 on a single broker.")] = 3,
    acls: Acls = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Create what is missing and set what differs; refuse to change a partition count.

    With --acls each principal is granted what it needs; other grants of these principals are removed.
    """
    settings = load(KafkaSettings)
    found = asyncio.run(topic_differences(settings) if dry_run else apply_topics(settings, replication))
    grants = (grant_differences if dry_run else apply_grants)(settings) if acls else None
    _show(found, grants, as_json=as_json)
    raise typer.Exit(any(one.refused for one in found))


@app.command(epilog="Example: KAFKA_BOOTSTRAP_SERVERS=kafka:9092 grafient topics check --json")
def check(*, acls: Acls = False, as_json: Json = False) -> None:
    """Show where the broker's topics differ; status 1 where one does."""
    settings = load(KafkaSettings)
    found = asyncio.run(topic_differences(settings))
    grants = grant_differences(settings) if acls else None
    _show(found, grants, as_json=as_json)
    raise typer.Exit(any(one.state != "right" for one in (*found, *(grants or ()))))


@app.command(epilog="Example: SECRETS_DIR=./secrets grafient topics passwords")
def passwords(*, as_json: Json = False) -> None:
    """Set the passwords of principals (SCRAM-SHA-512): CONNECTOR_, SYNCER_, LEDGER_, CRON_, WEBAPP_KAFKA_PASSWORD.

    One that is not given keeps its password. Use files in SECRETS_DIR, so that no environment holds them.
    """
    given = load(PasswordSettings).given()
    set_passwords(load(KafkaSettings), given)
    show({"set": list(given)}, f"set: {', '.join(given) or 'none was given'}", as_json=as_json)


def _show(found: list[TopicDifference], grants: list[GrantDifference] | None, *, as_json: bool) -> None:
    rows = [{"topic": one.topic, "state": one.state, "detail": one.detail} for one in found]
    topics = table("Topics as they were found", rows)
    if grants is None:
        show(rows, topics, as_json=as_json)
        return
    acls = [one.row() for one in grants]
    show({"topics": rows, "acls": acls}, Group(topics, table("Grants as they were found", acls)), as_json=as_json)
