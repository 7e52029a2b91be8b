"""A value that a newer version has added is taken as text."""

import pytest
from contract.fields import Trigger
from contract.problems import CAUSES, UNKNOWN, Code, cause_of
from pydantic import TypeAdapter, ValidationError

TRIGGER = TypeAdapter(Trigger)


def test_a_known_value_is_the_member_itself() -> None:
    assert TRIGGER.validate_json('"heal"') is Trigger.HEAL


def test_a_value_of_a_newer_version_is_read_and_written_as_it_came() -> None:
    trigger = TRIGGER.validate_json('"quarterly"')

    assert (trigger, trigger.value, f"{trigger}") == ("quarterly", "quarterly", "quarterly")
    assert TRIGGER.dump_json(trigger) == b'"quarterly"'
    assert trigger not in list(Trigger)


@pytest.mark.parametrize("text", ['""', '"Heal"', '"a b"', '"x\\u0000"', f'"{"x" * 65}"', "7", "null"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TRIGGER.validate_json(text)


def test_documents_show_the_known_values_and_mention_that_there_may_be_more() -> None:
    schema = TRIGGER.json_schema()

    assert schema["type"] == "string"
    assert schema["examples"] == [trigger.value for trigger in Trigger]
    assert "unknown" in schema["description"]
    assert "enum" not in schema


def test_a_code_of_a_newer_version_has_words() -> None:
    assert cause_of(Code("made_later")) is UNKNOWN
    assert all(cause_of(code) is CAUSES[code] for code in Code)
