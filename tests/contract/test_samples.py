"""What was ever released can always be read: a committed sample of every message parses, and is written the same."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract.messages import Message, SyncCompleted, WindowRead
from contract.topics import TOPICS

SAMPLES = Path(__file__).parent / "samples"
MESSAGES = [message for topic in TOPICS for message in topic.messages]
OPEN_FIELDS = ("trigger", "code", "status", "status_code")
UNKNOWN = "made_later"
NEXT_STEP = (
    "such records are on topics and in tables: leave the sample as it is, add fields as optional (docs/changing.md)"
)


def lost(sample: Any, written: Any, place: str = "") -> Iterator[str]:
    """Where `written` has not what `sample` has; fields that it has beside these are new ones."""
    if isinstance(sample, dict) and isinstance(written, dict):
        for name, value in sample.items():
            yield from lost(value, written.get(name, "(nothing)"), f"{place}.{name}")
    elif isinstance(sample, list) and isinstance(written, list) and len(sample) == len(written):
        for number, (one, other) in enumerate(zip(sample, written, strict=True)):
            yield from lost(one, other, f"{place}[{number}]")
    elif sample != written:
        yield f"{place.lstrip('.')}: {sample!r} became {written!r}"


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_a_released_message_can_always_be_read(message: type[Message]) -> None:
    text = (SAMPLES / f"{message.__name__}.json").read_text()

    read = message.model_validate_json(text)

    assert list(lost(json.loads(text), read.model_dump(mode="json"))) == [], NEXT_STEP


def test_a_new_field_is_no_loss_and_a_changed_or_missing_one_is_at_any_depth() -> None:
    sample = {"costs": [{"label": "a", "usd": "1"}]}

    assert list(lost(sample, {"costs": [{"label": "a", "usd": "1", "region": None}], "by": "x"})) == []
    assert list(lost(sample, {"costs": [{"label": "b"}]})) == [
        "costs[0].label: 'a' became 'b'",
        "costs[0].usd: '1' became '(nothing)'",
    ]
    assert list(lost(sample, {"costs": []})) == ["costs: [{'label': 'a', 'usd': '1'}] became []"]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_a_message_of_a_later_version_is_read_as_far_as_it_is_known(message: type[Message]) -> None:
    sample = json.loads((SAMPLES / f"{message.__name__}.json").read_text())
    opened = {name: UNKNOWN for name in OPEN_FIELDS if sample.get(name)}

    read = message.model_validate_json(json.dumps(_with_new_fields(sample) | opened))

    assert list(lost(sample | opened, read.model_dump(mode="json"))) == [], NEXT_STEP


def _with_new_fields(body: Any) -> Any:
    """A new field in the message and in every object of its lists; other objects are mappings, whose names are values."""
    if isinstance(body, list):
        return [_with_new_fields(one) for one in body]
    if not isinstance(body, dict):
        return body
    return {name: _with_new_fields(one) if isinstance(one, list) else one for name, one in body.items()} | {"new": [{}]}


def test_no_sample_is_forgotten() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == {message.__name__ for message in MESSAGES}


@pytest.mark.parametrize("message", [WindowRead, SyncCompleted])
def test_what_was_stored_before_a_field_existed_is_published_again_without_it(message: type[Message]) -> None:
    sample = json.loads((SAMPLES / f"{message.__name__}.json").read_text())

    assert json.loads(message.model_validate(sample).model_dump_json()) == sample
