"""The tutorial does what its page shows."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from grafient.local.up import running
from grafient.tutorial import command
from grafient.tutorial.steps import STEPS, Call, as_markdown

from tests.support.commands import grafient

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
SHELL = """curl() { command curl --silent --write-out '\\n%{http_code}' "$@"; }\n"""


def test_the_page_has_the_calls_as_they_are_made() -> None:
    sections = [as_markdown(number, step) for number, step in enumerate(STEPS, 1)]

    assert "\n\n".join(sections) in PAGE.read_text()


@pytest.mark.system
async def test_each_step_shows_what_it_promises() -> None:
    steps = (await grafient("tutorial", "--json")).json()

    assert [step["title"] for step in steps] == [step.title for step in STEPS]
    before = Decimal(steps[4]["calls"][1]["shows"]["days.0.usd"])
    day = steps[5]["calls"][2]["shows"]
    assert Decimal(day["usd"]) == before + 5
    assert Decimal(day["integrations.0.former.0.usd"]) == before


@pytest.mark.system
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed: the page's lines are for it")
async def test_each_line_of_the_page_that_is_pasted_into_a_shell_answers_as_the_page_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "_sent", _pasted)

    async with running(None, None, None) as (address, _), httpx.AsyncClient() as unused:
        titles = [step.title async for step in command.steps(unused, address)]

    assert titles == [step.title for step in STEPS]


async def _pasted(_http: httpx.AsyncClient, call: Call, variables: Mapping[str, str]) -> httpx.Response:
    """What a shell with these variables answers to the line."""
    line = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", SHELL + call.curl()], env=os.environ | variables, capture_output=True, check=True
    )
    body, _, status = line.stdout.rpartition(b"\n")
    return httpx.Response(int(status), content=body)
