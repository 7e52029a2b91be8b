"""`grafient topics`: bring the broker's topics to what the code declares, or show where they differ."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer
from common.settings import MAX_PARTITIONS, KafkaSettings, load
from contract.topics import TOPICS
from rich.console import Group

from grafient.cli.operations import run_operation
from grafient.cli.output import DryRun, Json, show, stderr, table
from grafient.cli.progress import progress_bars
from grafient.topics.acls import GrantDifference, PasswordSettings, apply_grants, grant_differences, set_passwords
from grafient.topics.apply import apply_topics
from grafient.topics.differences import TopicDifference, topic_differences
from grafient.topics.grow import grow as grow_topic
from grafient.topics.replicas import plan, reassignment, replicas

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
    """Create what is missing, set what differs and remove values that are not declared.

    A partition count is never changed; replicas of topics that exist are added by `topics replicas`. With --acls each
    principal is granted what it needs; other grants of these principals are removed.
    """
    settings = load(KafkaSettings)
    found = asyncio.run(topic_differences(settings, replication) if dry_run else apply_topics(settings, replication))
    grants = (grant_differences if dry_run else apply_grants)(settings) if acls else None
    _show(found, grants, as_json=as_json)
    raise typer.Exit(any(one.refused for one in found))


@app.command(epilog="Example: KAFKA_BOOTSTRAP_SERVERS=kafka:9092 grafient topics check --json")
def check(
    *,
    replication: Annotated[
        int | None,
        typer.Option(
            min=1, max=9, help="Replicas that are enough; by default 3, or each broker where there are fewer."
        ),
    ] = None,
    acls: Acls = False,
    as_json: Json = False,
) -> None:
    """Show where the broker's topics differ and what to do about it; status 1 where one does.

    Compared are partitions, replicas, and every value that is declared or set on a topic.
    """
    settings = load(KafkaSettings)
    found = asyncio.run(topic_differences(settings, replication))
    grants = grant_differences(settings) if acls else None
    _show(found, grants, as_json=as_json)
    raise typer.Exit(any(one.state != "right" for one in (*found, *(grants or ()))))


@app.command("replicas", epilog="Example: grafient topics replicas --plan > plan.json")
def show_replicas(
    *,
    as_plan: Annotated[
        bool, typer.Option("--plan", help="Print the reassignment, as kafka-reassign-partitions takes it.")
    ] = False,
    replication: Annotated[int, typer.Option(min=1, max=9, help="With --plan: replicas of each partition.")] = 3,
    as_json: Json = False,
) -> None:
    """Show on which brokers each partition is, or plan how partitions get the replicas that they lack.

    Includes the broker's own topic of offsets. The plan changes nothing: `docs/operations.md` shows how it is run.
    """
    found, brokers = asyncio.run(replicas(load(KafkaSettings)))
    if not as_plan:
        rows = [one.row() for one in found]
        people = [row | {"replicas": str(row["replicas"]), "in_sync": str(row["in_sync"])} for row in rows]
        show(rows, table("Replicas", people), as_json=as_json)
        return
    planned = plan(found, brokers, replication)
    stderr.print(f"{len(planned)} of {len(found)} partitions have fewer than {replication} replicas")
    typer.echo(json.dumps(reassignment(planned)))


@app.command(epilog="Example: grafient topics grow xai.costs.v1 --partitions 30 --dry-run")
def grow(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="One of docs/topics.md.")],
    *,
    partitions: Annotated[int, typer.Option(min=1, max=MAX_PARTITIONS, help="As many as it has, or more.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give a topic more partitions while everything is stopped, and print the setting that services then need.

    Refused while a program that reads or writes it runs, or has records left to handle. States of a compacted topic are
    published again on their new partition; keys are purged where they were. If it is interrupted, run it again.
    """
    named = next((one for one in TOPICS if one.name == topic), None)
    if named is None:
        raise typer.BadParameter(f"{topic}: choose one of {', '.join(one.name for one in TOPICS)}")
    settings = load(KafkaSettings)
    with progress_bars() as bar:
        grown = run_operation("topics", grow_topic(settings, named, partitions, bar, dry_run=dry_run))
    then = f"now set TOPIC_PARTITIONS={grown.setting} for every service and command, and start them"
    shown = {name: str(value) for name, value in asdict(grown).items() if name != "setting"}
    people = table("Would be done" if dry_run else "Done", [shown])
    show(asdict(grown), people if dry_run else Group(people, then), as_json=as_json)


@app.command(epilog="Example: SECRETS_DIR=./secrets grafient topics passwords")
def passwords(*, as_json: Json = False) -> None:
    """Set the passwords of principals (SCRAM-SHA-512): CONNECTOR_, SYNCER_, LEDGER_, CRON_, WEBAPP_KAFKA_PASSWORD.

    One that is not given keeps its password. Use files in SECRETS_DIR, so that no environment holds them.
    """
    given = load(PasswordSettings).given()
    set_passwords(load(KafkaSettings), given)
    show({"set": list(given)}, f"set: {', '.join(given) or 'none was given'}", as_json=as_json)


def _show(found: list[TopicDifference], grants: list[GrantDifference] | None, *, as_json: bool) -> None:
    rows = [one.row() for one in found]
    topics = table("Topics as they were found", rows)
    if grants is None:
        show(rows, topics, as_json=as_json)
        return
    acls = [one.row() for one in grants]
    show({"topics": rows, "acls": acls}, Group(topics, table("Grants as they were found", acls)), as_json=as_json)
