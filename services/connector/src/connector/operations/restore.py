"""After its database was restored from a backup: takes over the integrations of which the topics know more."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from common.database import Database, make_engine
from common.kafka.ranges import range_of, reader, records_of
from common.replay import Progress, ReplaySettings, no_progress
from contract.cloudevents import MalformedError, Record, decode
from contract.messages import INTEGRATION_STATES, CredentialSealed, IntegrationState
from contract.problems import Code
from contract.topics import CREDENTIALS, INTEGRATIONS, Topic
from sqlalchemy import text

BATCH = 500
"""Integrations in one transaction."""

Version = tuple[int, int, int]
"""Of the state, the credential and its wrap."""

_KNOWN = text("SELECT integration_id, version, credential_version, wrap_version FROM integrations")
_PLAN = text("""
    INSERT INTO accounts (account_id, plan) VALUES (:account_id, :plan)
    ON CONFLICT (account_id) DO UPDATE SET plan = excluded.plan
""")
# What is taken over was announced: the relay has nothing to publish. The history of syncs comes by a replay of outcomes.
_TAKE = text("""
    INSERT INTO integrations (integration_id, account_id, team_id, label, status, status_code, status_since, version,
        credential_version, wrap_version, envelope, sealed_at, history, history_from, backfill_first, backfill_last,
        added_at, removed_at, changed_at, duplicate_of, announced_version, announced_credential_version,
        announced_wrap_version, announced_at)
    VALUES (:integration_id, :account_id, :team_id, :label, :status, :status_code, :changed_at, :version,
        :credential_version, :wrap_version, CAST(:envelope AS jsonb), :changed_at, :history, :history_from, :history_from,
        CAST(:added_at AS timestamptz) AT TIME ZONE 'UTC', :added_at, :removed_at, :changed_at,
        (SELECT o.integration_id FROM integrations o WHERE :is_duplicate AND o.account_id = :account_id
            AND canonical_team_id(o.team_id) = canonical_team_id(:team_id) AND o.removed_at IS NULL
            AND o.duplicate_of IS NULL LIMIT 1),
        :version, :credential_version, :wrap_version, clock_timestamp())
    ON CONFLICT (integration_id) DO UPDATE SET
        team_id = excluded.team_id, label = excluded.label, status = excluded.status, status_code = excluded.status_code,
        status_since = excluded.status_since, version = excluded.version, credential_version = excluded.credential_version,
        wrap_version = excluded.wrap_version, envelope = excluded.envelope, sealed_at = excluded.sealed_at,
        history = excluded.history, history_from = excluded.history_from, backfill_first = excluded.backfill_first,
        backfill_last = excluded.backfill_last, added_at = excluded.added_at, removed_at = excluded.removed_at,
        changed_at = excluded.changed_at, duplicate_of = excluded.duplicate_of,
        announced_version = excluded.announced_version,
        announced_credential_version = excluded.announced_credential_version,
        announced_wrap_version = excluded.announced_wrap_version, announced_at = excluded.announced_at
""")


@dataclass(slots=True)
class OnTopics:
    """The newest state and key of each integration, whatever the order in which they were read."""

    states: dict[UUID, IntegrationState] = field(default_factory=dict)
    keys: dict[UUID, CredentialSealed] = field(default_factory=dict)

    def add(self, record: Record, topic: Topic) -> None:
        """What is malformed or a tombstone adds nothing."""
        try:
            message = decode(record, topic).message
        except MalformedError:
            return
        if isinstance(message, INTEGRATION_STATES):
            known = self.states.get(message.integration_id)
            if known is None or known.version < message.version:
                self.states[message.integration_id] = message
        elif isinstance(message, CredentialSealed):
            sealed = self.keys.get(message.integration_id)
            if sealed is None or _pair(sealed) < _pair(message):
                self.keys[message.integration_id] = message

    def version_of(self, state: IntegrationState) -> Version | None:
        """None where the integration's key is on no topic, so that it cannot be taken over."""
        key = self.keys.get(state.integration_id)
        if state.removed_at is not None:
            return state.version, state.credential_version, 1
        return (state.version, *_pair(key)) if key and key.credential_version >= state.credential_version else None

    def ahead_of(self, known: Mapping[UUID, Version]) -> list[IntegrationState]:
        """States that the table lacks; removed ones first and duplicates last, as a team is connected once."""
        found = [
            state
            for state in self.states.values()
            if (version := self.version_of(state)) is not None and _is_ahead(version, known.get(state.integration_id))
        ]
        return sorted(found, key=lambda one: (one.removed_at is None, _is_duplicate(one), one.changed_at))

    def row(self, state: IntegrationState) -> dict[str, Any]:
        """What the table gets."""
        version = self.version_of(state)
        assert version is not None  # noqa: S101 - `ahead_of` has checked it
        _, credential_version, wrap_version = version
        is_live = state.removed_at is None
        return state.model_dump(mode="python") | {
            "status": state.status.value,
            "status_code": state.status_code,
            "history": state.history,
            "plan": state.plan.value,
            "credential_version": credential_version,
            "wrap_version": wrap_version,
            "envelope": json.dumps(self.keys[state.integration_id].envelope) if is_live else None,
            "is_duplicate": is_live and _is_duplicate(state),
        }


def _pair(key: CredentialSealed) -> tuple[int, int]:
    return key.credential_version, key.wrap_version


def _is_duplicate(state: IntegrationState) -> bool:
    return state.status_code == Code.ALREADY_CONNECTED


def _is_ahead(version: Version, known: Version | None) -> bool:
    """Of a state that the table has, the key may be newer: it is wrapped again without a new state."""
    return known is None or version[0] > known[0] or (version[0] == known[0] and version[1:] > known[1:])


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was taken over, or would be."""

    read: int
    """Records of both topics."""
    known: int
    """Integrations in the table before."""
    added: int
    """Integrations that the table did not have."""
    changed: int
    """Integrations of which it had an older state or key."""
    without_key: tuple[UUID, ...]
    """Integrations that stay as they are: the topics have a newer state and no key for it."""


async def restore(
    settings: ReplaySettings, *, dry_run: bool = False, progress: Progress = no_progress
) -> RestoreReport:
    """Write what is newer on the topics into the table; a second run changes nothing.

    Run it while no connector does. Raises KafkaError, OperationalError and TransientError.
    """
    topics, read = OnTopics(), 0
    async with reader(settings) as consumer:
        for topic in (INTEGRATIONS, CREDENTIALS):
            spans = await range_of(consumer, topic)
            async for records in records_of(consumer, spans):
                for record in records:
                    topics.add(record, topic)
                read += len(records)
                progress(read, read)
    database = Database(make_engine(settings.database_url, schema="connector"))
    try:
        async with database.transaction() as connection:
            known: dict[UUID, Version] = {row[0]: (row[1], row[2], row[3]) for row in await connection.execute(_KNOWN)}
        ahead = topics.ahead_of(known)
        for first in () if dry_run else range(0, len(ahead), BATCH):
            await _take(database, [topics.row(state) for state in ahead[first : first + BATCH]])
    finally:
        await database.close()
    added = sum(state.integration_id not in known for state in ahead)
    return RestoreReport(read, len(known), added, len(ahead) - added, _without_key(topics, known))


async def _take(database: Database, rows: Sequence[dict[str, Any]]) -> None:
    async with database.transaction() as connection:
        for row in rows:
            await connection.execute(_PLAN, row)
            await connection.execute(_TAKE, row)


def _without_key(topics: OnTopics, known: Mapping[UUID, Version]) -> tuple[UUID, ...]:
    return tuple(
        integration_id
        for integration_id, state in topics.states.items()
        if topics.version_of(state) is None
        and (integration_id not in known or state.version > known[integration_id][0])
    )
