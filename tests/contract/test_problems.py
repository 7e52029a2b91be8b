"""Every code has a title and a next step."""

import pytest
from contract.problems import CAUSES, Code


def test_every_code_has_words_that_help() -> None:
    assert set(CAUSES) == set(Code)
    assert all(cause.title and cause.detail.endswith(".") for cause in CAUSES.values())


@pytest.mark.parametrize("code", [Code.KEY_REFUSED, Code.ACCESS_DENIED])
@pytest.mark.parametrize(
    "possibility",
    [
        "expired",
        "another team",
        "allowed IP ranges",
        "permission Management Keys",
        "If this is a key for chat completions",
    ],
)
def test_a_refusal_names_each_of_its_possible_causes(code: Code, possibility: str) -> None:
    assert possibility in CAUSES[code].detail


@pytest.mark.parametrize("code", [Code.XAI_UNAVAILABLE, Code.RATE_LIMITED])
def test_what_xai_did_not_answer_proves_nothing_about_the_key(code: Code) -> None:
    assert "proves nothing about the key" in CAUSES[code].detail
