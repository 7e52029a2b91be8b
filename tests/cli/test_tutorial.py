"""The tutorial does what its page shows."""

from decimal import Decimal
from pathlib import Path

import pytest
from grafient.tutorial.steps import STEPS, as_markdown

from tests.support.commands import grafient

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


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
