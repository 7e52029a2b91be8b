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
from grafient.tutorial import command
from grafient.tutorial.steps import STEPS, Call, as_markdown

from tests.support.commands import invoke

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
CURL = shutil.which("curl")
SHELL = """curl() { command curl --silent --write-out '\\n%{http_code}' "$@"; }\n"""


def test_the_page_has_the_calls_as_they_are_made() -> None:
    sections = [as_markdown(number, step) for number, step in enumerate(STEPS, 1)]

    assert "\n\n".join(sections) in PAGE.read_text()


@pytest.mark.system
def test_each_step_shows_what_it_promises_and_its_lines_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    if CURL:
        monkeypatch.setattr(command, "_sent", _pasted)

    steps = invoke("tutorial", "--json").json()

    assert [step["title"] for step in steps] == [step.title for step in STEPS]
    before = Decimal(steps[4]["calls"][1]["shows"]["days.0.usd"])
    day = steps[5]["calls"][2]["shows"]
    assert Decimal(day["usd"]) == before + 5
    assert Decimal(day["integrations.0.former.0.usd"]) == before
    if not CURL:
        pytest.skip("curl is not installed: the calls were made by the command, and not by the lines of the page")


async def _pasted(_http: httpx.AsyncClient, call: Call, variables: Mapping[str, str]) -> httpx.Response:
    """What a shell with these variables answers to the line."""
    line = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", SHELL + call.curl()], env=os.environ | variables, capture_output=True, check=True
    )
    body, _, status = line.stdout.rpartition(b"\n")
    return httpx.Response(int(status), content=body)
