"""Which records of a compacted topic move when it grows: each newest state once, and keys leave where they were."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from aiokafka import ConsumerRecord
from contract.cloudevents import MARKER_KEY
from contract.topics import CREDENTIALS, INTEGRATIONS, Topic
from grafient.topics.moves import CompactedTopic, Moves

from tests.support.messages import credential_sealed, integration_changed, raw_record, record_of

ID = UUID("3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f")
KEY = str(ID).encode()
OLD, NEW = 5, 11
"""Its partitions, by the Java client: of 6 and of 30."""
NOTHING = Moves({}, [])


def sealed(partition: int, offset: int, version: int = 1, wrap: int = 1) -> ConsumerRecord:
    message = credential_sealed(ID, credential_version=version, wrap_version=wrap)
    return record_of(CREDENTIALS, message, key=KEY, partition=partition, offset=offset)


def tombstone(partition: int, offset: int, version: int) -> ConsumerRecord:
    headers = [("credential_version", str(version).encode())]
    return raw_record(CREDENTIALS, None, headers, key=KEY, partition=partition, offset=offset)


def state(partition: int, offset: int, version: int) -> ConsumerRecord:
    return record_of(
        INTEGRATIONS, integration_changed(ID, version=version), key=KEY, partition=partition, offset=offset
    )


def moves(records: Iterable[Any], topic: Topic = CREDENTIALS) -> Moves:
    found = CompactedTopic(topic)
    for record in records:
        found.add(record)
    return found.moves(30)


def test_the_newest_credential_is_copied_and_purged_where_it_was() -> None:
    assert moves([sealed(OLD, 3), sealed(OLD, 8, version=2)]) == Moves({(OLD, 8): NEW}, [(KEY, OLD)])


def test_a_state_that_nobody_purges_is_only_copied() -> None:
    assert moves([state(OLD, 3, 1), state(OLD, 8, 2)], INTEGRATIONS) == Moves({(OLD, 8): NEW}, [])


def test_whoever_was_interrupted_does_what_is_left_and_then_nothing() -> None:
    copied = [sealed(OLD, 3), sealed(NEW, 0)]
    assert moves(copied) == Moves({}, [(KEY, OLD)])
    assert moves([*copied, tombstone(OLD, 4, 0)]) == NOTHING
    assert moves([state(OLD, 3, 2), state(NEW, 0, 2)], INTEGRATIONS) == NOTHING


def test_the_higher_version_counts_wherever_it_is() -> None:
    assert moves([sealed(OLD, 900), sealed(NEW, 0, wrap=2)]) == Moves({}, [(KEY, OLD)])
    assert moves([sealed(OLD, 3, version=2), sealed(NEW, 70)]) == Moves({(OLD, 3): NEW}, [(KEY, OLD)])


def test_what_was_deleted_needs_no_copy_unless_its_new_partition_has_it_still() -> None:
    assert moves([sealed(OLD, 3), tombstone(OLD, 4, 1)]) == NOTHING
    assert moves([sealed(NEW, 3), tombstone(OLD, 4, 1)]) == Moves({(OLD, 4): NEW}, [])


def test_a_credential_that_came_after_the_tombstone_is_copied() -> None:
    assert moves([tombstone(OLD, 4, 1), sealed(OLD, 5, version=2)]) == Moves({(OLD, 5): NEW}, [(KEY, OLD)])


def test_a_key_that_keeps_its_partition_is_left_alone() -> None:
    assert moves([sealed(NEW, 3)]) == NOTHING


def test_markers_are_passed_over_and_what_cannot_be_read_is_counted() -> None:
    found = CompactedTopic(CREDENTIALS)
    found.add(raw_record(CREDENTIALS, b"{}", key=MARKER_KEY.encode()))
    found.add(raw_record(CREDENTIALS, b"no JSON", key=KEY))
    found.add(raw_record(CREDENTIALS, None, [("credential_version", b"none")], key=KEY))

    assert (found.moves(30), found.unreadable.total()) == (NOTHING, 2)
