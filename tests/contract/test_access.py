"""Who reads and writes what: every topic has both, and keys in any form stay with who needs them."""

from contract.access import ACCESS, WEBAPP, consumers_of, group_of
from contract.topics import COMMANDS_TOPIC, COSTS, CREDENTIALS, DEAD_LETTERS, TOPICS


def test_every_topic_is_written_by_somebody_and_read_by_a_principal_or_an_operator() -> None:
    assert {topic for access in ACCESS.values() for topic in access.writes} == set(TOPICS)
    assert {topic for access in ACCESS.values() for topic in access.reads} == set(TOPICS) - {DEAD_LETTERS}


def test_only_the_connector_writes_credentials_and_only_the_syncer_reads_them() -> None:
    assert [name for name, access in ACCESS.items() if CREDENTIALS in access.writes] == ["connector"]
    assert [name for name, access in ACCESS.items() if CREDENTIALS in access.reads] == ["syncer"]
    assert [name for name, access in ACCESS.items() if COMMANDS_TOPIC in access.reads] == ["connector"]


def test_a_principal_needs_each_topic_once() -> None:
    assert all(len(access.topics) == len(set(access.topics)) for access in ACCESS.values())


def test_a_service_consumes_a_topic_in_one_group() -> None:
    assert group_of("ledger", COSTS) == "ledger.xai.costs.v1"
    assert [name for name, access in ACCESS.items() if access.free_groups] == [WEBAPP.principal]


def test_the_services_that_consume_a_topic_are_those_that_may_read_it() -> None:
    assert {topic.name.removeprefix("xai."): consumers_of(topic) for topic in TOPICS} == {
        "commands.v1": ("connector",),
        "command-results.v1": (),
        "integrations.v1": ("syncer", "ledger"),
        "credentials.v1": ("syncer",),
        "sync-requests.v1": ("syncer",),
        "costs.v1": ("ledger",),
        "sync-outcomes.v1": ("connector", "syncer"),
        "dead-letters.v1": (),
    }
