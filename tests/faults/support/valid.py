"""Messages that can be handled, and the rows that show that they were."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from contract.fields import Trigger
from contract.messages import Cost, Message, RenameIntegration
from contract.topics import COMMANDS_TOPIC, COSTS, CREDENTIALS, INTEGRATIONS, SYNC_OUTCOMES, SYNC_REQUESTS, Topic

from tests.faults.support.load import Load
from tests.support import messages
from tests.support.messages import Headers
from tests.support.system import SystemClient
from tests.support.waiting import until

TABLES = {
    COSTS: (("ledger.days",), "integration_id"),
    INTEGRATIONS: (("syncer.integrations", "ledger.integrations"), "integration_id"),
    SYNC_REQUESTS: (("syncer.requests",), "request_id"),
    SYNC_OUTCOMES: (("connector.syncs",), "event_id"),
    CREDENTIALS: (("syncer.credentials",), "integration_id"),
    COMMANDS_TOPIC: (("connector.commands",), "command_id"),
}


@dataclass(frozen=True, slots=True)
class Valid:
    """A message that can be handled, and the row that it leaves in each of its tables."""

    message: Message
    key: str
    event_id: str
    tables: tuple[str, ...] = ()
    column: str = ""
    row_id: str = ""
    """Identifies the rows by `column`."""

    def wire(self) -> tuple[bytes, Headers]:
        return messages.wire(self.message, event_id=self.event_id)


def without_rows(message: Message, key: str) -> Valid:
    return Valid(message, key, uuid.uuid4().hex)


def valid(topic: Topic, load: Load) -> Valid:
    """A message of `topic` that changes no figure: of an unknown integration, or (an outcome) an old one."""
    unknown, event_id = uuid.uuid4(), uuid.uuid4().hex
    tables, column = TABLES[topic]
    row_id = str(unknown) if column == "integration_id" else event_id
    return Valid(_message(topic, unknown, event_id, load), str(unknown), event_id, tables, column, row_id)


def _message(topic: Topic, unknown: UUID, event_id: str, load: Load) -> Message:
    account_id, (team, integration_id) = f"unknown-{unknown.hex[:12]}", load.teams[0]
    if topic is COSTS:
        return messages.cost_recorded(unknown, {}, account_id=account_id)
    if topic is INTEGRATIONS:
        return messages.integration_removed(unknown, account_id=account_id)
    if topic is SYNC_REQUESTS:
        return messages.sync_requested(unknown, request_id=event_id)
    if topic is SYNC_OUTCOMES:
        an_hour_ago, request_ids = messages.now() - timedelta(hours=1), (event_id,)
        return messages.sync_completed(
            integration_id, account_id=team.account_id, request_ids=request_ids, observed_at=an_hour_ago
        )
    if topic is CREDENTIALS:
        return messages.credential_sealed(unknown, account_id=account_id)
    return messages.command(
        RenameIntegration, command_id=event_id, account_id=account_id, integration_id=unknown, label="Unknown"
    )


def contradicting(topic: Topic, first: Valid) -> Valid:
    """The same message by its ID, with other content."""
    changes: dict[Topic, dict[str, Any]] = {
        COSTS: {"usd": Decimal(1), "costs": (Cost(label="a", model="a", usd=Decimal(1)),)},
        INTEGRATIONS: {"label": "Another"},
        SYNC_REQUESTS: {"trigger": Trigger.BACKFILL},
        SYNC_OUTCOMES: {"usd": Decimal(1)},
        CREDENTIALS: {"envelope": {"format": "another"}},
        COMMANDS_TOPIC: {"label": "Another"},
    }
    return replace(first, message=first.message.model_copy(update=changes[topic]))


async def rows_of(client: SystemClient, sent: Sequence[Valid]) -> list[dict[str, Any]]:
    """The rows that these messages, all of one topic, have left; without what only repeats the result of a command."""
    column, row_ids = sent[0].column, [one.row_id for one in sent]
    found: list[dict[str, Any]] = []
    for table in sent[0].tables:
        query = f"SELECT to_jsonb(t) - 'repeat_at' FROM {table} t WHERE {column}::text = ANY(%s) ORDER BY {column}"  # noqa: S608 - constants
        found += [row[0] for row in await client.rows(query, row_ids)]
    return found


async def handled(client: SystemClient, sent: Sequence[Valid]) -> list[dict[str, Any]]:
    """Wait until each has one row in each of its tables; return the rows."""
    return await until(lambda: rows_of(client, sent), lambda rows: len(rows) == len(sent) * len(sent[0].tables))
