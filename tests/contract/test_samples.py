"""What was ever released can always be read: a committed sample of every message parses, and is written the same."""

import json
from pathlib import Path

import pytest
from contract.messages import Message
from contract.topics import TOPICS

SAMPLES = Path(__file__).parent / "samples"
MESSAGES = [message for topic in TOPICS for message in topic.messages]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_a_released_message_can_always_be_read(message: type[Message]) -> None:
    text = (SAMPLES / f"{message.__name__}.json").read_text()

    read = message.model_validate_json(text)

    assert json.loads(text).items() <= read.model_dump(mode="json").items()


def test_no_sample_is_forgotten() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == {message.__name__ for message in MESSAGES}
