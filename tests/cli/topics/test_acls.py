"""Who may do what at the broker is what is declared; the declaration is what the code does."""

import pytest
from common.errors import TransientError
from common.settings import KafkaSettings, StartRefusedError
from contract.access import ACCESS, WEBAPP
from contract.topics import CREDENTIALS, TOPICS
from grafient.documents.parties import parties
from grafient.topics.acls import EVERYBODY, PasswordSettings, _differences, allow, declared, grant_differences

WRITES_CREDENTIALS = allow("User:webapp", "topic", CREDENTIALS.name, "write")
OF_EVERYBODY = allow(EVERYBODY, "topic", "*", "all")


def test_every_party_may_do_what_it_does_and_nothing_else() -> None:
    done = {party.name.replace("web_app", WEBAPP.principal): party for party in parties() if party.name != "operator"}

    assert set(done) == set(ACCESS)
    for name, party in done.items():
        assert (name, set(party.receives)) == (name, set(ACCESS[name].reads))
        assert (name, set(party.sends)) == (name, set(ACCESS[name].writes))


def test_only_connector_writes_and_only_syncer_reads_credentials() -> None:
    found = {(one.principal, one.operation) for one in declared() if one.name == CREDENTIALS.name}

    assert found == {("User:connector", "write"), ("User:syncer", "read")}


def test_nothing_but_reading_and_writing_is_granted_and_only_by_name() -> None:
    assert {(one.resource, one.operation) for one in declared()} == {
        ("topic", "read"),
        ("topic", "write"),
        ("group", "read"),
    }
    assert {one.name for one in declared() if one.resource == "topic"} <= {topic.name for topic in TOPICS}
    assert [one.name for one in declared() if one.pattern != "literal"] == ["webapp."]


def test_missing_undeclared_and_open_to_all_are_distinguished() -> None:
    right, missing = declared()[0], declared()[1]
    found = {one.grant: one.state for one in _differences({*declared(), WRITES_CREDENTIALS, OF_EVERYBODY} - {missing})}

    assert found[right] == "right"
    assert found[missing] == "missing"
    assert found[WRITES_CREDENTIALS] == "undeclared"
    assert found[OF_EVERYBODY] == "open_to_all"


def test_every_principal_has_a_password_setting() -> None:
    assert set(PasswordSettings.model_fields) == {f"{name}_kafka_password" for name in ACCESS}


def test_a_broker_that_guards_nothing_is_named(kafka: str) -> None:
    with pytest.raises(StartRefusedError, match=r"has no authorizer.*authorizer\.class\.name"):
        grant_differences(KafkaSettings(kafka_bootstrap_servers=kafka))


def test_an_unavailable_broker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grafient.topics.acls.DEADLINE", 1.0)
    with pytest.raises(TransientError):
        grant_differences(KafkaSettings(kafka_bootstrap_servers="127.0.0.1:9"))
