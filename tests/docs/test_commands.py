"""What docs/commands.md documents for web apps is true."""

import json
import re
from base64 import b64encode
from pathlib import Path

import pytest
from common.crypto.sealed_commands import SealingKey, binding
from connector.commands.api import CommandState
from connector.commands.opening import SealedCommandOpener
from connector.commands.rejections import DETAILS
from connector.sealing_key import SealingKeyAnswer
from contract.messages import COMMANDS, Message
from contract.problems import Code

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
BODIES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
ANSWER = json.loads(next(one for one in BODIES if "public_key" in one))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_every_command_has_an_example_of_all_its_fields(command: type[Message]) -> None:
    (example,) = re.findall(rf"### {command.__name__}\n[^#]*?```json\n(.*?)```", PAGE, re.DOTALL)
    fields = json.loads(example)

    command.model_validate_json(example)
    assert fields.keys() == command.model_fields.keys()


def test_the_state_of_a_command_is_shown_as_it_is() -> None:
    state = json.loads(next(one for one in BODIES if "state" in one))

    assert json.loads(CommandState.model_validate(state).model_dump_json()) == state
    assert DETAILS[Code(state["code"])].startswith(state["detail"].removesuffix("…"))


def test_the_answer_of_the_route_is_shown_as_it_is() -> None:
    assert SealingKeyAnswer.model_validate(ANSWER).model_dump() == ANSWER


def test_the_example_of_a_sealed_key_opens_and_its_info_is_right(tmp_path: Path) -> None:
    info, sealed = (block.strip() for block in re.findall(r"```\n([0-9a-f]{99,}\n|v1\..*\n)```", PAGE))
    path = tmp_path / "keys"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"current": "first", "keys": {"first": b64encode(bytes(range(32))).decode()}}))
    opener = SealedCommandOpener(path, ANSWER["environment"])

    assert opener.recipient() == SealingKey.of(ANSWER)
    assert binding(ANSWER["environment"], "account-1", "command-1").hex() == info
    assert opener.open(sealed, account_id="account-1", command_id="command-1") == "obviously-a-fake-key"


def test_every_code_that_is_named_is_one() -> None:
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| (?:all|those|AddIntegration)", PAGE, re.MULTILINE)
    named = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)}

    assert len(named) >= 10
    assert named <= {code.value for code in Code}


def test_every_file_that_is_linked_is_there() -> None:
    linked = re.findall(r"\]\(([^)#]+)\)", PAGE)

    assert linked
    assert [name for name in linked if not (Path(__file__).parents[2] / "docs" / name).is_file()] == []
