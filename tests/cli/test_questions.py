"""`grafient questions`: what is accepted must be named."""

from uuid import uuid4

import pytest

from tests.support.commands import invoke


@pytest.mark.parametrize("chosen", [[], ["--all", "2026-10-04"], ["04.10.2026"]])
def test_days_are_named_or_all_are_meant(chosen: list[str]) -> None:
    refused = invoke("questions", "accept", str(uuid4()), *chosen)

    assert refused.status == 2
    assert "DAY" in refused.stderr
