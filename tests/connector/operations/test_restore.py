"""What a restored table takes over from the topics; `tests/e2e/test_restoring.py` does it with a real backup."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from connector.operations.restore import OnTopics, Version
from contract.fields import History, Status
from contract.messages import CredentialSealed, IntegrationState
from contract.problems import Code
from contract.topics import CREDENTIALS, INTEGRATIONS

from tests.support.messages import credential_sealed, integration_changed, integration_removed, now, raw_record, wire

ONE = uuid4()


def on_topics(*messages: IntegrationState | CredentialSealed) -> OnTopics:
    found = OnTopics()
    for message in messages:
        topic = CREDENTIALS if isinstance(message, CredentialSealed) else INTEGRATIONS
        found.add(raw_record(topic, *wire(message), key=str(message.integration_id).encode()), topic)
    return found


def state(integration_id: UUID = ONE, **fields: Any) -> IntegrationState:
    return integration_changed(integration_id, **fields)


def key(integration_id: UUID = ONE, **fields: Any) -> CredentialSealed:
    return credential_sealed(integration_id, **fields)


def test_the_highest_version_counts_in_whatever_order_records_are_read() -> None:
    newest = state(version=3, label="Third")

    for order in ((state(version=2), newest, key()), (newest, key(), state(version=2))):
        assert on_topics(*order).ahead_of({}) == [newest]


@pytest.mark.parametrize(
    ("known", "taken"),
    [
        ((2, 1, 1), True),
        ((3, 1, 1), True),  # wrapped by another key since
        ((3, 1, 2), False),
        ((4, 1, 1), False),  # the table is ahead: its relay publishes
    ],
)
def test_a_state_or_a_key_that_is_newer_than_the_table_is_taken(known: Version, taken: bool) -> None:  # noqa: FBT001 - a case
    topics = on_topics(state(version=3, credential_version=1), key(credential_version=1, wrap_version=2))

    assert bool(topics.ahead_of({ONE: known})) is taken


@pytest.mark.parametrize("keys", [[], [key(credential_version=1)]])
def test_without_its_key_an_integration_is_left_alone(keys: list[CredentialSealed]) -> None:
    topics = on_topics(state(version=3, credential_version=2), *keys)

    assert topics.ahead_of({}) == []
    assert topics.version_of(topics.states[ONE]) is None


def test_a_removed_integration_needs_no_key_and_gets_none() -> None:
    gone = integration_removed(ONE, version=5, history=History.ERASE, removed_at=now())
    topics = on_topics(key(), gone)

    (taken,) = topics.ahead_of({ONE: (4, 1, 1)})
    assert topics.row(taken)["envelope"] is None
    assert topics.row(taken)["status"] == "removed"


def test_what_frees_a_team_comes_first_and_what_doubles_it_last() -> None:
    later = now() + timedelta(hours=1)
    doubled = state(status=Status.ERROR, status_code=Code.ALREADY_CONNECTED)
    connected, gone = state(uuid4(), changed_at=later), integration_removed(uuid4(), removed_at=later, changed_at=later)
    topics = on_topics(doubled, key(), connected, key(connected.integration_id), gone)

    assert topics.ahead_of({}) == [gone, connected, doubled]
    assert [topics.row(one)["is_duplicate"] for one in topics.ahead_of({})] == [False, False, True]


def test_tombstones_and_what_cannot_be_read_add_nothing() -> None:
    topics = on_topics(state(), key())
    for value in (None, b"{"):
        topics.add(raw_record(CREDENTIALS, value, key=str(ONE).encode()), CREDENTIALS)

    assert len(topics.ahead_of({})) == 1
