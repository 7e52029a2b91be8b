"""What would lose records with a broker: replicas, writes that one replica acknowledges, unclean election."""

import structlog
from aiokafka.errors import KafkaError
from contract.topics import Topic

from common.kafka.client import admin_client
from common.kafka.diagnostics import BrokerRefusedError
from common.kafka.found_topics import FoundTopic, found_topics, replicas_wanted
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
            wanted, found = await replicas_wanted(admin), await found_topics(admin, topics)
    except (KafkaError, BrokerRefusedError, TimeoutError):
        return
    for topic in topics:
        if topic.name in found and (problems := weaknesses(topic, found[topic.name], wanted)):
            log.warning("topic.weak", topic=topic.name, problems=problems, next_step="`grafient topics check` names it")


def weaknesses(topic: Topic, found: FoundTopic, wanted: int) -> list[str]:
    """What `topic` differs in from what should be; values that are not found are not known."""
    replicas, right = found.replication, topic.config_with(found.replication)
    fewer = [f"replicas: {replicas} instead of {wanted}"] if replicas < wanted else []
    known = {key: found.config[key].text for key in KEYS if key in found.config}
    return fewer + [f"{key}={text} instead of {right[key]}" for key, text in known.items() if text != right[key]]
