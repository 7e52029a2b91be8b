"""What the README tells other programs to do works."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import SystemClient

README = Path(__file__).parents[2] / "README.md"


async def test_another_program_can_ask_for_a_sync_and_follow_it(
    world: SystemClient, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    program: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), program)  # noqa: S102 - it is ours
    team = await world.team()
    integration_id = await world.connect(team)

    await program["force_sync"](world.address.kafka, integration_id)

    assert capsys.readouterr().out.startswith("SyncCompleted {")


def test_every_file_that_the_readme_names_is_there() -> None:
    named = set(re.findall(r"`((?:libs|services|tools|docs|deploy|tests)/[\w./-]+\.\w+)`", README.read_text()))

    assert named
    assert [name for name in named if not (README.parent / name).is_file()] == []
