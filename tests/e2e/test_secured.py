"""The whole system over TLS: each service authenticates as itself, can do its work, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.admin import DescribeAclsRequest
from common.kafka.client import TopicsError, check_topics
from common.kafka.durability import warn_of_weak_topics
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AdminClient,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from confluent_kafka.admin import AclOperation as Operation
from confluent_kafka.admin import AclPermissionType as Permission
from confluent_kafka.admin import AlterConfigOpType as Change
from confluent_kafka.admin import ResourcePatternType as Pattern
from confluent_kafka.admin import ResourceType as Resource
from contract.access import ACCESS, LEDGER, BrokerAccess, group_of
from contract.topics import COSTS, CREDENTIALS, INTEGRATIONS, SYNC_REQUESTS, TOPICS, Topic
from grafient.local.securing import OPERATOR, write_certificates, write_private
from grafient.local.system import System
from grafient.topics.acls import apply_grants, grant_differences, librdkafka_options
from structlog.testing import capture_logs

from tests.support.commands import Completed, in_process
from tests.support.secured_broker import Clients
from tests.support.system import SystemClient, running_system
from tests.support.waiting import until

EVERY_TOPIC = [(access, topic) for access in ACCESS.values() for topic in TOPICS]
by_principal = pytest.mark.parametrize("who", ACCESS)


@pytest.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Every process, for real; the broker accepts known users only."""
    async with running_system(tmp_path_factory.mktemp("secured"), secured=True) as system:
        yield system


@pytest.fixture
async def client(secured: System) -> AsyncIterator[SystemClient]:
    async with SystemClient(secured) as client:
        yield client


@pytest.fixture(scope="module")
async def clients(secured: System) -> AsyncIterator[Clients]:
    """Every topic holds a record."""
    made = Clients(secured)
    for topic in TOPICS:
        await made.write(OPERATOR, topic.name)
    yield made
    await made.close()


async def test_a_team_is_connected_synced_and_erased(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    today = date.fromisoformat((await client.syncs(team, integration_id))[0]["last_day"])
    first = today - timedelta(days=29)
    forced = await client.force(team, integration_id)

    assert forced["reconciled"]
    assert await client.shown(team, first, today) == await client.served(team, first, today)

    await client.remove(team, integration_id, "erase")
    await client.consumed("syncer", CREDENTIALS)
    await client.consumed("ledger", INTEGRATIONS)
    assert await client.rows("SELECT 1 FROM syncer.credentials WHERE integration_id = %s", integration_id) == []
    assert await client.rows("SELECT 1 FROM ledger.days WHERE integration_id = %s", integration_id) == []


@pytest.mark.parametrize(("access", "topic"), EVERY_TOPIC, ids=lambda one: getattr(one, "name", None) or one.principal)
async def test_a_principal_reads_and_writes_what_is_declared_and_nothing_else(
    clients: Clients, access: BrokerAccess, topic: Topic
) -> None:
    for do, allowed in ((clients.read, access.reads), (clients.write, access.writes)):
        with nullcontext() if topic in allowed else pytest.raises(TopicAuthorizationFailedError):
            await do(access.principal, topic.name)


@pytest.mark.parametrize("access", ACCESS.values(), ids=lambda access: access.principal)
async def test_a_principal_takes_part_in_its_own_groups_only(clients: Clients, access: BrokerAccess) -> None:
    for owner, topic in EVERY_TOPIC:
        own = owner is access and (access.free_groups or topic in access.reads)
        with nullcontext() if own else pytest.raises(GroupAuthorizationFailedError):
            await clients.find(access.principal, group_of(owner.principal, topic))


FORBIDDEN: dict[str, Callable[[AdminClient], Any]] = {
    "create a topic": lambda admin: admin.create_topics([NewTopic("of-the-test", 1, 1)]),
    "delete a topic": lambda admin: admin.delete_topics([COSTS.name]),
    "delete records": lambda admin: admin.delete_records([TopicPartition(COSTS.name, 0, 1)]),
    "add partitions": lambda admin: admin.create_partitions([NewPartitions(COSTS.name, 12)]),
    "change a topic": lambda admin: admin.incremental_alter_configs([_shorter(COSTS)]),
    "read a configuration": lambda admin: admin.describe_configs([ConfigResource(Resource.TOPIC, COSTS.name)]),
    "change the broker": lambda admin: admin.incremental_alter_configs([_of_the_broker()]),
    "grant itself something": lambda admin: admin.create_acls([AclBinding(*_ANYTHING)]),
    "revoke grants": lambda admin: admin.delete_acls([AclBindingFilter(*_ANYTHING)]),
    "set a password": lambda admin: admin.alter_user_scram_credentials([_password("ledger")]),
    "delete a group": lambda admin: admin.delete_consumer_groups([group_of("ledger", COSTS)]),
}
_ANYTHING: tuple[Any, ...] = (Resource.TOPIC, "*", Pattern.LITERAL, "User:*", "*", Operation.ALL, Permission.ALLOW)


def _shorter(topic: Topic) -> ConfigResource:
    entry = ConfigEntry("retention.ms", "1000", incremental_operation=Change.SET)
    return ConfigResource(Resource.TOPIC, topic.name, incremental_configs=[entry])


def _of_the_broker() -> ConfigResource:
    entry = ConfigEntry("log.retention.ms", "1000", incremental_operation=Change.SET)
    return ConfigResource(Resource.BROKER, "1", incremental_configs=[entry])


def _password(who: str) -> UserScramCredentialUpsertion:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    return UserScramCredentialUpsertion(who, info, b"obviously-fake")


@by_principal
@pytest.mark.parametrize("what", FORBIDDEN)
async def test_no_principal_changes_the_broker(clients: Clients, who: str, what: str) -> None:
    (future,) = FORBIDDEN[what](clients.admin(who)).values()

    with pytest.raises(KafkaException) as refused:
        await asyncio.wrap_future(future)
    name = refused.value.args[0].name()
    assert name.endswith("_AUTHORIZATION_FAILED") or (what, name) == (
        "delete records",
        "_NOENT",
    )  # the topic is invisible to it


@by_principal
async def test_no_principal_reads_the_grants(clients: Clients, who: str) -> None:
    client = (await clients.producer(who)).client
    anything = (1, None, 1, None, None, 1, 1)

    answer = await client.send(client.get_random_node(), DescribeAclsRequest(*anything))

    assert answer.error_code == ClusterAuthorizationFailedError.errno


@asynccontextmanager
async def lacking(system: System, access: BrokerAccess, topic: Topic) -> AsyncIterator[None]:
    """The principal may not read one of its topics meanwhile."""
    grant = (Resource.TOPIC, topic.name, Pattern.LITERAL, f"User:{access.principal}", "*", Operation.READ)
    operator = AdminClient(librdkafka_options(system.kafka.settings()))
    for future in operator.delete_acls([AclBindingFilter(*grant, Permission.ALLOW)]).values():
        await asyncio.wrap_future(future)
    try:
        yield
    finally:
        await asyncio.to_thread(apply_grants, system.kafka.settings())


async def test_a_service_that_lacks_a_right_names_it_and_resumes_when_it_has_it(
    secured: System, client: SystemClient
) -> None:
    team, integration_id = await client.connected_team()

    async def stalled() -> str:
        try:
            return str((await client.http.get(f"{secured.url_of('ledger')}/livez")).json()["stalled"])
        except httpx.TransportError:  # a stalled service is started again
            return "no answer"

    async with lacking(secured, LEDGER, COSTS):
        sentence = await until(stalled, lambda got: "refused" in got)
        assert "lacks a right to the topic xai.costs.v1: run `grafient topics apply --acls`" in sentence

    assert (await client.force(team, integration_id))["reconciled"]
    assert await until(stalled, lambda got: got == "[]")


async def test_a_topic_without_access_stops_the_start_with_its_name(secured: System) -> None:
    with pytest.raises(TopicsError) as refused:
        await check_topics(secured.kafka.settings("cron"), (SYNC_REQUESTS, COSTS))
    assert str(refused.value) == "cron may not use topic xai.costs.v1: run `grafient topics apply --acls`"


async def test_a_service_that_may_not_read_configurations_logs_nothing_about_them(secured: System) -> None:
    admin = AdminClient(librdkafka_options(secured.kafka.settings(OPERATOR)))

    async def warned(who: str) -> list[str]:
        with capture_logs() as logs:
            await warn_of_weak_topics(secured.kafka.settings(who), LEDGER.topics)
        return [one["topic"] for one in logs if one["event"] == "topic.weak"]

    try:
        for future in admin.incremental_alter_configs([_unclean(COSTS, Change.SET)]).values():
            future.result(30)
        await until(lambda: warned(OPERATOR), lambda topics: topics == [COSTS.name])
        assert await warned("ledger") == []
    finally:
        for future in admin.incremental_alter_configs([_unclean(COSTS, Change.DELETE)]).values():
            future.result(30)
        await until(lambda: warned(OPERATOR), lambda topics: topics == [])  # tests that follow look at this broker


def _unclean(topic: Topic, change: Change) -> ConfigResource:
    entry = ConfigEntry("unclean.leader.election.enable", "true", incremental_operation=change)
    return ConfigResource(Resource.TOPIC, topic.name, incremental_configs=[entry])


Command = Callable[..., Awaitable[Completed]]


@pytest.fixture
def command(secured: System) -> Command:
    """Runs a command as a principal, with some of its settings changed."""
    assert secured.security is not None
    security = secured.security

    async def run(*arguments: str, who: str = OPERATOR, **changes: str) -> Completed:
        env = security.environment(who) | {"KAFKA_BOOTSTRAP_SERVERS": secured.kafka.bootstrap_servers} | changes
        return await in_process(*arguments, env=env)

    return run


WRONG = {
    "a wrong password": ("SECRETS_DIR", "rejects KAFKA_USERNAME and KAFKA_PASSWORD"),
    "no TLS": ("KAFKA_SECURITY_PROTOCOL", "closes the connection at once: check KAFKA_SECURITY_PROTOCOL and the port"),
    "another authority": ("KAFKA_CA_FILE", "is not trusted"),
}


@pytest.mark.parametrize(("setting", "sentence"), WRONG.values(), ids=WRONG)
async def test_a_refused_client_gets_the_reason(command: Command, tmp_path: Path, setting: str, sentence: str) -> None:
    write_certificates(tmp_path)
    write_private(tmp_path / "KAFKA_PASSWORD", b"obviously-fake")
    wrong = {
        "SECRETS_DIR": str(tmp_path),
        "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "KAFKA_CA_FILE": str(tmp_path / "ca.pem"),
    }

    refused = await command("topics", "check", **{setting: wrong[setting]})

    assert (refused.status, refused.stdout) == (2, ""), refused.stderr
    assert sentence in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
    assert "obviously-fake" not in refused.stderr


async def test_operators_see_correct_grants_and_services_cannot_see_them(command: Command) -> None:
    report = (await command("topics", "check", "--acls", "--json")).json()
    refused = await command("topics", "apply", "--acls", "--dry-run", who="connector")

    assert {one["state"] for one in report["acls"]} == {"right"}
    assert refused.status == 2
    assert "KAFKA_USERNAME may not change access: use an operator" in refused.stderr


async def test_apply_revokes_undeclared_grants_of_our_principals_only(secured: System) -> None:
    operator = AdminClient(librdkafka_options(secured.kafka.settings()))
    credentials = (Resource.TOPIC, CREDENTIALS.name, Pattern.LITERAL)
    ours = AclBinding(*credentials, "User:webapp", "*", Operation.READ, Permission.ALLOW)
    another = AclBinding(*credentials, "User:an-auditor", "*", Operation.DESCRIBE, Permission.ALLOW)
    for future in operator.create_acls([ours, another]).values():
        await asyncio.wrap_future(future)
    every = (Resource.ANY, None, Pattern.ANY)
    found = await asyncio.to_thread(apply_grants, secured.kafka.settings())

    assert {one.grant.principal for one in found if one.state == "undeclared"} == {"User:webapp"}
    kept = {one.principal for one in operator.describe_acls(_of(*every, "User:an-auditor")).result()}
    assert kept == {"User:an-auditor"}
    assert {one.state for one in await asyncio.to_thread(grant_differences, secured.kafka.settings())} == {"right"}


def _of(resource: Resource, name: str | None, pattern: Pattern, principal: str) -> AclBindingFilter:
    return AclBindingFilter(resource, name, pattern, principal, None, Operation.ANY, Permission.ANY)
