"""The topic of credentials, compacted within a second instead of within hours."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from common.database import Database, make_engine
from common.kafka.client import make_broker
from common.kafka.publisher import Publisher
from common.settings import KafkaSettings
from common.watchdog import Watchdog
from connector.housekeeping import Housekeeping
from contract.topics import CREDENTIALS
from grafient.topics.apply import apply_topics
from pydantic import SecretStr

from tests.support.system import SystemClient

AT_ONCE = {"segment.ms": "100", "max.compaction.lag.ms": "100", "delete.retention.ms": "100"}


@asynccontextmanager
async def compacting_at_once(client: SystemClient) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Yields the connector's hourly marking, which makes the broker roll its segments."""
    settings = KafkaSettings(kafka_bootstrap_servers=client.address.kafka)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(apply_topics, settings, replication=1)
        admin = AIOKafkaAdminClient(bootstrap_servers=client.address.kafka)
        await admin.start()
        stack.push_async_callback(admin.close)
        config = CREDENTIALS.config | AT_ONCE
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, CREDENTIALS.name, config)])
        url = SecretStr(client.system.postgres.url_of("connector"))
        database = Database(make_engine(url, schema="connector"))
        stack.push_async_callback(database.close)
        broker = await stack.enter_async_context(make_broker(settings, "connector"))
        await broker.connect()
        yield Housekeeping(database, Publisher(broker, "connector", Watchdog()), Watchdog()).mark_credentials
