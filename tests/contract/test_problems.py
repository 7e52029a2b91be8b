"""Every code has a title and a next step."""

from contract.problems import CAUSES, Code


def test_every_code_has_words_that_help() -> None:
    assert set(CAUSES) == set(Code)
    assert all(cause.title and cause.detail.endswith(".") for cause in CAUSES.values())
