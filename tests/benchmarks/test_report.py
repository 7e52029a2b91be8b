"""Medians, and the forms in which a benchmark prints them."""

import json

import pytest

from benchmarks.support.report import Report, median_row, rounded

REPORT = Report("Ledger", [{"scenario": "fresh", "ratio_to_e": 0.5, "size": None}], {"cpus": 2, "load_at_start": 0.1})


def test_numbers_are_medians_and_words_are_those_of_the_first_run() -> None:
    runs = [{"scenario": "fresh", "ratio": ratio, "size": None} for ratio in (0.3, 0.1, 0.2)]
    assert median_row(runs) == {"scenario": "fresh", "ratio": 0.2, "size": None}


def test_a_figure_has_three_digits() -> None:
    assert [rounded(one) for one in (0.123456, 12.3456, 123456.0)] == [0.123, 12.3, 123000]


def test_markdown_is_a_table_with_the_settings_above_it(capsys: pytest.CaptureFixture[str]) -> None:
    REPORT.show(as_json=False, markdown=True)
    assert capsys.readouterr().out.splitlines() == [
        "### Ledger",
        "",
        "cpus 2, load at start 0.1.",
        "",
        "| scenario | ratio to e | size |",
        "| --- | --- | --- |",
        "| fresh | 0.5 |  |",
    ]


def test_json_has_rows_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    REPORT.show(as_json=True, markdown=False)
    printed = json.loads(capsys.readouterr().out)
    assert printed["rows"][0]["ratio_to_e"] == 0.5
    assert printed["settings"] == {"cpus": 2, "load_at_start": 0.1}
