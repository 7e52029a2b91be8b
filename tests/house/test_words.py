"""The checker of words finds what it must, and nothing else."""

import pytest

from tests.house import words

BAD = {
    "def tell() -> None: ...": "tell",
    "class HoldUntold: ...": "untold",
    "def let_go_of() -> None: ...": "let go",
    "response.told = 1": "told",
    "call(wish=1)": "wish",
    "# the record is sent anew": "anew",
    '"""Whoever signs in is refused."""': "signs in",
    'log.info("record.told")': "told",
    'f"{count} rows were put away"': "put away",
    '"""Deletes what was put\n    away."""': "put away",
}
GOOD = [
    "satellite = wholesaler = standstill = stored",
    "# it is thrown away, signals in a loop",
    '"""The lease is released; the owner claims it again."""',
]


@pytest.mark.parametrize("program", BAD)
def test_a_word_of_the_list_is_found_in_a_program(program: str) -> None:
    assert [one.word for one in words.findings_in(program, "a.py")] == [BAD[program]]


@pytest.mark.parametrize("program", GOOD)
def test_other_words_are_not_found(program: str) -> None:
    assert words.findings_in(program, "a.py") == []


def test_a_document_is_read_with_its_line_breaks() -> None:
    text = "# Title\n\nThe key is put\naway, and then the owner\nsigns in."

    assert words.findings_in(text, "a.md") == [
        words.Finding("a.md", 3, "put away"),
        words.Finding("a.md", 5, "signs in"),
    ]


def test_every_area_has_files() -> None:
    assert [area for area in words.AREAS if not any(words.files(area))] == []


def test_no_name_and_no_prose_of_the_project_contains_a_word_of_the_list() -> None:
    assert [str(finding) for area in words.AREAS for finding in words.findings(area)] == []
