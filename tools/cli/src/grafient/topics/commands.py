"""`grafient topics`: bring the broker's topics to what the code declares, or say where they differ."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError
from common.kafka.client import admin_client
from common.settings import KafkaSettings, load
from contract.topics import TOPICS, Topic
from rich.console import Group

from grafient.cli.errors import Refusing
from grafient.cli.output import Json, show, table
from grafient.topics.acls import GrantDifference, PasswordSettings, bring_about_grants, grant_differences, set_passwords

app = typer.Typer(cls=Refusing, no_args_is_help=True, help="Create the topics and who may use them, or check them.")
Acls = Annotated[bool, typer.Option("--acls", help="Also who may read and write what: the broker has an authorizer.")]

DURABLE_REPLICAS = 3
APPEAR_DEADLINE = 30.0


@dataclass(frozen=True, slots=True)
class Difference:
    """What a topic is, against what it should be."""

    topic: str
    state: str
    """`right`, `missing`, `other_partitions` or `other_config`."""
    detail: str

    @property
    def refused(self) -> bool:
        """Cannot be mended in place: a key's order would be split."""
        return self.state == "other_partitions"


@app.command(epilog="Example: KAFKA_BOOTSTRAP_SERVERS=kafka:9092 grafient topics apply --replication 3")
def apply(
    *,
    replication: Annotated[int, typer.Option(min=1, max=9, help="Replicas of each topic; 1 on a single broker.")] = 3,
    acls: Acls = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Create what is missing and set what differs; refuse to change a partition count.

    With --acls each principal is granted what it needs; what else stands for these principals is taken away.
    """
    settings = load(KafkaSettings)
    found = asyncio.run(differences(settings) if dry_run else bring_about(settings, replication))
    grants = (grant_differences if dry_run else bring_about_grants)(settings) if acls else None
    _tell(found, grants, as_json=as_json)
    raise typer.Exit(any(one.refused for one in found))


@app.command(epilog="Example: KAFKA_BOOTSTRAP_SERVERS=kafka:9092 grafient topics check --json")
def check(*, acls: Acls = False, as_json: Json = False) -> None:
    """Say where the broker's topics differ; status 1 where one does."""
    settings = load(KafkaSettings)
    found = asyncio.run(differences(settings))
    grants = grant_differences(settings) if acls else None
    _tell(found, grants, as_json=as_json)
    raise typer.Exit(any(one.state != "right" for one in (*found, *(grants or ()))))


@app.command(epilog="Example: SECRETS_DIR=./secrets grafient topics passwords")
def passwords(*, as_json: Json = False) -> None:
    """Set what principals sign in with (SCRAM-SHA-512): CONNECTOR_, SYNCER_, LEDGER_, CRON_, WEBAPP_KAFKA_PASSWORD.

    One that is not given keeps what it has. Take files in SECRETS_DIR, so that no environment holds them.
    """
    given = load(PasswordSettings).given()
    set_passwords(load(KafkaSettings), given)
    show({"set": list(given)}, f"set: {', '.join(given) or 'none was given'}", as_json=as_json)


async def bring_about(settings: KafkaSettings, replication: int) -> list[Difference]:
    """Create missing topics and set configurations; answers what was different before."""
    found = await differences(settings)
    by_name = {topic.name: topic for topic in TOPICS}
    missing = [by_name[one.topic] for one in found if one.state == "missing"]
    differing = [by_name[one.topic] for one in found if one.state == "other_config"]
    async with admin_client(settings, "grafient-topics") as admin:
        if missing:
            answer = await admin.create_topics([_new(topic, replication) for topic in missing])
            _raise_for(answer.topic_errors)
            await _appeared(admin, missing)
        if differing:
            await admin.alter_configs([_resource(topic, _config(topic, replication)) for topic in differing])
    return found


async def differences(settings: KafkaSettings) -> list[Difference]:
    """One line a declared topic."""
    async with admin_client(settings, "grafient-topics") as admin:
        described = await admin.describe_topics([topic.name for topic in TOPICS])
        partitions = {one["topic"]: len(one["partitions"]) for one in described if not one["error_code"]}
        known = [topic for topic in TOPICS if topic.name in partitions]
        configs = await _configs(admin, known) if known else {}
    return [_difference(topic, partitions.get(topic.name, 0), configs.get(topic.name, {})) for topic in TOPICS]


def _difference(topic: Topic, partitions: int, config: dict[str, str]) -> Difference:
    if not partitions:
        return Difference(topic.name, "missing", f"{topic.partitions} partitions")
    if partitions != topic.partitions:
        return Difference(topic.name, "other_partitions", f"{partitions} instead of {topic.partitions}: refused")
    wrong = [
        f"{name}={config.get(name)} instead of {value}"
        for name, value in topic.config.items()
        if config.get(name) != value
    ]
    return Difference(topic.name, "other_config" if wrong else "right", ", ".join(wrong) or f"{partitions} partitions")


async def _configs(admin: Any, topics: list[Topic]) -> dict[str, dict[str, str]]:  # noqa: ANN401 - aiokafka is untyped
    answers = await admin.describe_configs([_resource(topic, None) for topic in topics])
    resources = [resource for answer in answers for resource in answer.resources]
    return {resource[3]: {entry[0]: entry[1] for entry in resource[4]} for resource in resources}


def _resource(topic: Topic, config: dict[str, str] | None) -> ConfigResource:
    return ConfigResource(ConfigResourceType.TOPIC, topic.name, config)


def _new(topic: Topic, replication: int) -> NewTopic:
    return NewTopic(topic.name, topic.partitions, replication, topic_configs=_config(topic, replication))


def _config(topic: Topic, replication: int) -> dict[str, str]:
    durable = replication >= DURABLE_REPLICAS
    return topic.config | {
        "min.insync.replicas": "2" if durable else "1",
        "unclean.leader.election.enable": "false",
    }


async def _appeared(admin: Any, topics: list[Topic]) -> None:  # noqa: ANN401 - aiokafka is untyped
    """Wait until the brokers tell of what was just created."""
    async with asyncio.timeout(APPEAR_DEADLINE):
        while any(one["error_code"] for one in await admin.describe_topics([topic.name for topic in topics])):
            await asyncio.sleep(0.05)


def _raise_for(errors: list[tuple[Any, ...]]) -> None:
    """Somebody else's `apply` may have been faster: that is no failure."""
    failed = [f"{error[0]}: {error[2]}" for error in errors if error[1] not in {0, TopicAlreadyExistsError.errno}]
    if failed:
        typer.echo(f"topics not created: {'; '.join(failed)}", err=True)
        raise typer.Exit(1)


def _tell(found: list[Difference], grants: list[GrantDifference] | None, *, as_json: bool) -> None:
    rows = [{"topic": one.topic, "state": one.state, "detail": one.detail} for one in found]
    topics = table("Topics as they were found", rows)
    if grants is None:
        show(rows, topics, as_json=as_json)
        return
    acls = [one.row() for one in grants]
    show({"topics": rows, "acls": acls}, Group(topics, table("Grants as they were found", acls)), as_json=as_json)
