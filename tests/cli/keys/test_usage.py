"""What records on the topic of credentials name, when a key is on several partitions because the topic has grown."""

import json

from aiokafka import ConsumerRecord
from contract.topics import CREDENTIALS
from grafient.keys.usage import OnTopic

from tests.support.messages import raw_record


def naming(key_id: str | None, partition: int) -> ConsumerRecord:
    value = None if key_id is None else json.dumps({"envelope": {"key_id": key_id}}).encode()
    return raw_record(CREDENTIALS, value, key=b"an-integration", partition=partition)


def test_a_record_that_is_left_on_a_former_partition_counts_until_it_is_purged() -> None:
    found = OnTopic()
    found.add(naming("old", partition=5))
    found.add(naming("new", partition=17))
    assert found.others("new") == 1

    found.add(naming(None, partition=5))

    assert (found.others("new"), found.others("old")) == (0, 1)
