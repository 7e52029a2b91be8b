"""Who sends and who receives what: topics by `contract.access`, received messages by the tables of handlers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import connector.handlers
import ledger.handlers
import syncer.handlers
from contract.access import CONNECTOR, CRON, LEDGER, SYNCER, WEBAPP, BrokerAccess
from contract.cloudevents import Marker, Tombstone
from contract.messages import CredentialSealed, Message, SyncCompleted, SyncFailed
from contract.topics import CREDENTIALS, DEAD_LETTERS, SYNC_OUTCOMES, Topic

Flows = Mapping[Topic, Sequence[type[Message]]]


@dataclass(frozen=True, slots=True)
class Party:
    """A program that sends or receives messages."""

    name: str
    """Its principal at the broker."""
    what: str
    sends: Flows
    receives: Flows
    is_service: bool
    """One of ours, which consumes a topic in the group `contract.access.group_of`."""


WHAT: dict[BrokerAccess, str] = {
    WEBAPP: "Any program of the product, in any language. Its consumer groups are named `webapp.…`.",
    CRON: "The emitter of the daily run.",
    CONNECTOR: "Tests keys, seals them, and keeps integrations.",
    SYNCER: "Asks xAI.",
    LEDGER: "Keeps the costs, and proves that they add up.",
}
PARTS: dict[tuple[BrokerAccess, Topic], Sequence[type[Message]]] = {
    (CONNECTOR, CREDENTIALS): (CredentialSealed, Tombstone, Marker),
    (SYNCER, SYNC_OUTCOMES): (SyncFailed,),
    (LEDGER, SYNC_OUTCOMES): (SyncCompleted,),
}
"""What is sent where it is not just the messages of the topic."""


def parties() -> tuple[Party, ...]:
    """All of them: web apps first, for the document is for them."""
    received: dict[BrokerAccess, Flows] = {
        CONNECTOR: _flows(connector.handlers.HANDLERS) | _flows(connector.handlers.INTAKE),
        SYNCER: _flows(syncer.handlers.HANDLERS),
        LEDGER: _flows(ledger.handlers.HANDLERS) | {topic: topic.messages for topic in ledger.handlers.BATCH_HANDLERS},
    }
    known = [_party(access, what, received.get(access)) for access, what in WHAT.items()]
    operator = Party("operator", "The command line `grafient`.", {}, {DEAD_LETTERS: ()}, is_service=False)
    return (*known, operator)


def _party(access: BrokerAccess, what: str, received: Flows | None) -> Party:
    sends = {topic: PARTS.get((access, topic), topic.messages) for topic in access.writes}
    receives = {topic: topic.messages for topic in access.reads} if received is None else received
    return Party(access.principal, what, sends, receives, is_service=received is not None)


def _flows(table: Mapping[Topic, Mapping[type[Message], object]]) -> dict[Topic, Sequence[type[Message]]]:
    return {topic: tuple(messages) for topic, messages in table.items()}
