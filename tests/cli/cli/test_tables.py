"""What a table shows can be copied: no ID is broken over lines, however narrow the screen is."""

import re
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import grafient
import pytest
from grafient.cli.tables import Row, Rows
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

WINDOW = "3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"
ACCOUNT = "an-account-whose-id-is-as-long-as-an-id-of-an-account-may-be.123"
AT = datetime(2026, 11, 20, 6, tzinfo=UTC)
SOURCES = Path(grafient.__path__[0])
WITHOUT_IDS = {"cli/tables.py", "local/demo.py", "local/up.py"}


def printed(rows: list[Row], width: int = 80) -> str:
    screen = StringIO()
    Console(width=width, file=screen).print(Rows("Title", rows))
    return screen.getvalue()


def test_on_a_narrow_screen_each_row_is_a_list_of_its_fields() -> None:
    assert printed([{"window_id": WINDOW, "account": ACCOUNT, "attempts": 3, "code": None, "due": AT}]).split() == [
        *("Title", "window", "id", WINDOW, "account", ACCOUNT),
        *("attempts", "3", "code", "due", "2026-11-20T06:00:00Z"),
    ]


def test_a_row_is_one_line_where_the_screen_is_wide_enough() -> None:
    row = {"window": WINDOW, "account": ACCOUNT, "attempts": 3, "codes": ["a", "b"]}

    assert f"│ {WINDOW} │ {ACCOUNT} │        3 │ a     │" in printed([row], 140)


def test_text_in_brackets_is_text() -> None:
    assert "[/red] [bold]" in printed([{"detail": "[/red] [bold]"}])


WORDS = st.text("abcdef0123456789-", min_size=1, max_size=60)
CELLS = st.one_of(WORDS, st.lists(WORDS, max_size=12).map(" ".join), st.integers(0, 10**9), st.none(), st.just(AT))


@given(st.lists(st.fixed_dictionaries({f"column_{n}": CELLS for n in range(5)}), min_size=1, max_size=4))
def test_no_word_is_broken_on_eighty_columns(rows: list[Row]) -> None:
    shown = re.split(r"[\s│]+", printed(rows))

    words = {word for row in rows for value in row.values() if isinstance(value, str) for word in value.split()}
    assert words - set(shown) == set()


@pytest.mark.parametrize("source", sorted(SOURCES.rglob("*.py")), ids=lambda path: path.name)
def test_every_table_of_a_command_is_made_of_such_rows(source: Path) -> None:
    assert "rich.table" not in source.read_text() or str(source.relative_to(SOURCES)) in WITHOUT_IDS
