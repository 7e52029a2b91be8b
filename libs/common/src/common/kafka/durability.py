"""What would lose records with a broker: replicas, writes that one replica acknowledges, unclean election."""

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from contract.topics import DURABLE_REPLICAS, Topic

from common.kafka.client import admin_client
from common.kafka.diagnostics import BrokerRefusedError
from common.settings import KafkaSettings

log = structlog.get_logger()

KEYS = ("min.insync.replicas", "unclean.leader.election.enable")


async def warn_of_weak_topics(settings: KafkaSettings, topics: tuple[Topic, ...]) -> None:
    """Log one line for each topic that may lose records; the service works all the same.

    A broker with an authorizer lets no service read configurations, for none needs them: then replicas alone are compared.
    A broker that does not answer is left to those who need it.
    """
    try:
        async with admin_client(settings, "topics-check") as admin:
            wanted = min(DURABLE_REPLICAS, len((await admin.describe_cluster())["brokers"]))
            replicas, configs = await _replicas(admin, topics), await _configs(admin, topics)
    except (KafkaError, BrokerRefusedError, TimeoutError):
        return
    for topic in topics:
        if problems := weaknesses(topic, replicas.get(topic.name, wanted), configs.get(topic.name, {}), wanted):
            log.warning("topic.weak", topic=topic.name, problems=problems, next_step="`grafient topics check` names it")


def weaknesses(topic: Topic, replicas: int, config: dict[str, str], wanted: int) -> list[str]:
    """What `topic` differs in from what should be; values that `config` does not name are not known."""
    right = topic.config_with(replicas)
    fewer = [f"replicas: {replicas} instead of {wanted}"] if replicas < wanted else []
    other = [
        f"{key}={config[key]} instead of {right[key]}" for key in KEYS if config.get(key, right[key]) != right[key]
    ]
    return fewer + other


async def _replicas(admin: AIOKafkaAdminClient, topics: tuple[Topic, ...]) -> dict[str, int]:
    """Of the partition that has the fewest, by topic."""
    described = await admin.describe_topics([topic.name for topic in topics])
    return {
        one["topic"]: min(len(partition["replicas"]) for partition in one["partitions"])
        for one in described
        if one["partitions"]
    }


async def _configs(admin: AIOKafkaAdminClient, topics: tuple[Topic, ...]) -> dict[str, dict[str, str]]:
    """By topic, the values of KEYS; nothing where the broker refuses to say."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic.name, dict.fromkeys(KEYS)) for topic in topics]
    resources = [one for response in await admin.describe_configs(asked) for one in response.resources]
    return {name: {entry[0]: entry[1] for entry in entries} for code, _, _, name, entries in resources if not code}
