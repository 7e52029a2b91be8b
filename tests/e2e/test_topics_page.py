"""The program that docs/topics.md shows to other programs works."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import SystemClient

PAGE = Path(__file__).parents[2] / "docs" / "topics.md"


async def test_another_program_can_request_a_sync_and_follow_it(
    client: SystemClient, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program: dict[str, Any] = {}
    exec(compile(example, PAGE.name, "exec"), program)  # noqa: S102 - it is ours
    _, integration_id = await client.connected_team()

    await program["force_sync"](client.address.kafka, integration_id)

    assert capsys.readouterr().out.startswith("SyncCompleted {")
