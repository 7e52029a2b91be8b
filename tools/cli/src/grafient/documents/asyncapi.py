"""The AsyncAPI document: topics as channels, messages with their headers, and who sends and receives them."""

from collections.abc import Iterator, Sequence

from contract.access import group_of
from contract.messages import Message
from contract.topics import (
    COMMAND_RESULTS,
    COMMANDS_TOPIC,
    COSTS,
    CREDENTIALS,
    DEAD_LETTERS,
    INTEGRATIONS,
    SYNC_OUTCOMES,
    SYNC_REQUESTS,
    TOPICS,
    Topic,
)

from grafient.documents.parties import Party, parties
from grafient.documents.wire import BINDING, Json, messages, messages_of, schemas

DESCRIPTION = """
Reads what xAI teams spent and keeps it, exact to the digit. Operations are named `<party>_<sends|receives>_<topic>`, as
seen from that party. A program of your own is `webapp`: what it may send and receive are the operations of that name.

- Messages are JSON with CloudEvents 1.0 in Kafka headers (binary mode). `ce_type` names the message: choose the
  class by it, never by trying. A record in structured mode (`application/cloudevents+json`) is read, too; batches are not.
- **Records are partitioned by their key with Kafka's murmur2.** It is the default of the Java client and of aiokafka; with
  librdkafka and everything built on it, set `partitioner=murmur2_random`, or one key's messages lose their order.
- Delivery is at least once: deduplicate by `ce_id`. Publish with `acks=all` and an idempotent producer.
- Ignore unknown fields and unknown types: both may come. Fields that come later are optional.
- Money is a decimal string: at most 15 digits before and 40 after the point. Never parse it as a float.
- A record has at most 900000 bytes. What cannot be read is dead-lettered, and the next record is handled.
"""
WHAT: dict[Topic, str] = {
    COMMANDS_TOPIC: "What web apps want done to integrations. Each command ends in exactly one result. A key in a command is "
    "sealed to connector's public key (`GET /v1/sealing-key`), never in the clear.",
    COMMAND_RESULTS: "The result of each command, by `command_id`.",
    INTEGRATIONS: "The whole state of each integration after each change, no secret in it. Compacted, never a "
    "tombstone: act on the state (highest `version`), never on the event's type, for compaction may drop the first ones.",
    CREDENTIALS: "Sealed keys: connector writes, syncer reads, nobody else.",
    SYNC_REQUESTS: "Somebody wants costs to be read. The same `request_id` is taken once for an integration.",
    COSTS: "What xAI reported: one CostRecorded for each UTC day of a reading, then WindowRead.",
    SYNC_OUTCOMES: "How each request ended: exactly one SyncCompleted or final SyncFailed names its request ID.",
    DEAD_LETTERS: "What could not be read or must not be retried: byte for byte, with origin and reason in headers; of "
    "commands and credentials only size and hash, for they may hold a key in the clear.",
}


def document() -> Json:
    """AsyncAPI 3.0 of the whole system, in the order of `contract.topics`."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Grafient messages", "version": "1", "description": DESCRIPTION.strip()},
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {_id(topic): _channel(topic) for topic in TOPICS},
        "operations": {name: operation for party in parties() for name, operation in _operations(party)},
        "components": {
            "messages": dict(messages()),
            "schemas": schemas(),
            "securitySchemes": {"scram": {"type": "scramSha512", "description": "One principal a service or program."}},
        },
    }


def _server() -> Json:
    return {
        "host": "{bootstrap_servers}",
        "protocol": "kafka-secure",
        "description": "Apache Kafka; SASL_SSL with SCRAM-SHA-512 in production.",
        "variables": {
            "bootstrap_servers": {"description": "`host:port`, comma-separated.", "default": "localhost:9092"}
        },
        "security": [{"$ref": "#/components/securitySchemes/scram"}],
    }


def _id(topic: Topic) -> str:
    return topic.name.split(".")[1].replace("-", "_")


def _channel(topic: Topic) -> Json:
    return {
        "address": topic.name,
        "description": WHAT[topic],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages_of(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {name: _setting(name, value) for name, value in topic.config.items()},
                **BINDING,
            }
        },
    }


def _setting(name: str, value: str) -> object:
    if name == "cleanup.policy":
        return value.split(",")
    return int(value) if value.isdigit() else value


def _operations(party: Party) -> Iterator[tuple[str, Json]]:
    for action, flows in (("send", party.sends), ("receive", party.receives)):
        for topic, carried in flows.items():
            yield f"{party.name}_{action}s_{_id(topic)}", _operation(party, action, topic, carried)


def _operation(party: Party, action: str, topic: Topic, carried: Sequence[type[Message]]) -> Json:
    channel = f"#/channels/{_id(topic)}"
    names = [message.__name__ for message in carried] or ["DeadLetter"]
    made: Json = {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in names],
        "tags": [{"name": party.name, "description": party.what}],
    }
    if party.is_service and action == "receive":
        group = {"type": "string", "const": group_of(party.name, topic)}
        made["bindings"] = {"kafka": {"groupId": group, **BINDING}}
    return made
