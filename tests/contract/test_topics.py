"""The topics are those of the design: what each carries, how long, and what it may hold."""

import pytest
from contract.topics import (
    COMMANDS_TOPIC,
    CREDENTIALS,
    DEAD_LETTERS,
    INTEGRATIONS,
    SYNC_REQUESTS,
    TOPICS,
    count_to_grow_to,
)

DAY_MS = 86_400_000
KEPT_DAYS = {
    "xai.commands.v1": 7,
    "xai.command-results.v1": 7,
    "xai.sync-requests.v1": 7,
    "xai.costs.v1": 400,
    "xai.sync-outcomes.v1": 30,
    "xai.dead-letters.v1": 30,
}


def test_every_topic_is_kept_as_long_as_the_design_requires() -> None:
    kept = {topic.name: int(topic.config["retention.ms"]) for topic in TOPICS if "retention.ms" in topic.config}
    assert kept == {name: days * DAY_MS for name, days in KEPT_DAYS.items()}


def test_states_and_credentials_are_compacted_and_nothing_else_is() -> None:
    assert {topic for topic in TOPICS if "compact" in topic.config["cleanup.policy"]} == {INTEGRATIONS, CREDENTIALS}


def test_only_credentials_have_tombstones_and_are_purged_hourly() -> None:
    assert [topic for topic in TOPICS if topic.tombstones] == [CREDENTIALS]
    hourly = [CREDENTIALS.config[name] for name in ("segment.ms", "max.compaction.lag.ms", "delete.retention.ms")]
    assert hourly == ["3600000"] * 3


def test_the_broker_sets_the_time_of_what_other_programs_write() -> None:
    timed = {topic for topic in TOPICS if topic.config.get("message.timestamp.type") == "LogAppendTime"}
    assert timed == {COMMANDS_TOPIC, SYNC_REQUESTS}


def test_topics_that_may_hold_a_key_are_known() -> None:
    assert {topic for topic in TOPICS if topic.secret} == {COMMANDS_TOPIC, CREDENTIALS}


def test_a_dead_letter_is_larger_than_what_it_keeps() -> None:
    largest = max(topic.max_record_bytes for topic in TOPICS if topic is not DEAD_LETTERS)
    assert largest == 900_000
    assert DEAD_LETTERS.max_record_bytes == 1_900_000 < int(DEAD_LETTERS.config["max.message.bytes"])


@pytest.mark.parametrize(
    ("agreed", "found", "count"),
    [(6, 7, 12), (6, 12, 12), (6, 13, 18), (30, 6, 30), (6, 1, 6)],
)
def test_a_topic_with_an_altered_count_grows_to_a_multiple(agreed: int, found: int, count: int) -> None:
    assert count_to_grow_to(agreed, found) == count
