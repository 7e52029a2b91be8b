"""Rows for people: a table in which no word, and so no ID, is broken; where the screen is too narrow, a list of records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rows:
    """`rows` with the names of the first one as headings; numbers are on the right. `as_records`: never as a table."""

    title: str
    rows: Sequence[Row]
    as_records: bool = False

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.rows:
            yield Text(self.title, style="italic")
            return
        names = [name.replace("_", " ") for name in self.rows[0]]
        cells = [[text_of(value) for value in row.values()] for row in self.rows]
        widths = _widths(list(zip(names, *cells, strict=True)), options.max_width)
        yield self._table(names, cells, widths) if widths and not self.as_records else self._records(names, cells)

    def _table(self, names: list[str], cells: list[list[str]], widths: list[int]) -> Table:
        table = Table(title=self.title, title_justify="left")
        for name, width, value in zip(names, widths, self.rows[0].values(), strict=True):
            table.add_column(name, width=width, overflow="fold", justify="right" if _is_number(value) else "left")
        for row in cells:
            table.add_row(*map(Text, row))
        return table

    def _records(self, names: list[str], cells: list[list[str]]) -> Table:
        grid = Table.grid(padding=(0, 2))
        grid.title, grid.title_justify = self.title, "left"
        grid.add_column(no_wrap=True, style="bold")
        grid.add_column(overflow="fold")
        for row in cells:
            for name, text in zip(names, row, strict=True):
                grid.add_row(name, Text(text))
            grid.add_row()
        return grid


def text_of(value: object) -> str:
    """For a cell; None is empty, what is several is one a line."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, list | tuple):
        return "\n".join(map(text_of, value))
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _widths(columns: Sequence[Sequence[str]], screen: int) -> list[int] | None:
    """Of each column, at least its longest word; None where the screen is too narrow for these."""
    room = screen - 3 * len(columns) - 1
    least = [max(cell_len(word) for text in column for word in text.split() or [""]) for column in columns]
    most = [max(cell_len(line) for text in column for line in text.splitlines() or [""]) for column in columns]
    if sum(least) > room:
        return None
    spare, wanted = room - sum(least), sum(most) - sum(least)
    share = min(spare / wanted, 1) if wanted else 0
    return [low + int((high - low) * share) for low, high in zip(least, most, strict=True)]
