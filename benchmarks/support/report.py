"""What a benchmark prints: a table for people, JSON for programs, Markdown for docs/performance.md."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from common.errors import UserError
from grafient.cli.output import show, stderr, table
from grafient.cli.tables import Row, text_of
from grafient.local.jars import KAFKA_VERSION
from rich.console import Group

Runs = Annotated[int, typer.Option(min=1, help="Repetitions; the medians are printed.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print a table for docs/performance.md.")]
POSTGRES_VERSION = "18"
ROOT = Path(__file__).parents[2]


class RefusedRunError(UserError):
    """A run that did less than it should: a figure of it means nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "run it again, with nothing else on the machine")


@dataclass(frozen=True, slots=True)
class Report:
    """`rows` are medians, one a scenario; `settings` is what has to be known to repeat them."""

    title: str
    rows: Sequence[Row]
    settings: Row = field(default_factory=dict)

    def show(self, *, as_json: bool, markdown: bool) -> None:
        """Print it; `markdown` counts before `as_json`."""
        if markdown:
            typer.echo(as_markdown(self))
        else:
            tables = Group(table(self.title, self.rows), table("Settings", [self.settings]))
            show(asdict(self), tables, as_json=as_json)


def as_markdown(report: Report) -> str:
    """A heading, the settings as a sentence, and the rows as a table."""
    names = list(report.rows[0])
    lines = [names, ["---"] * len(names), *([text_of(row[name]) for name in names] for row in report.rows)]
    settings = ", ".join(f"{name.replace('_', ' ')} {text_of(value)}" for name, value in report.settings.items())
    body = "\n".join(f"| {' | '.join(cells)} |".replace("_", " ") for cells in lines)
    return f"### {report.title}\n\n{settings}.\n\n{body}"


def machine() -> dict[str, object]:
    """Where and when the benchmark runs, and of which commit."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": _commit(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgres": POSTGRES_VERSION,
        "kafka": KAFKA_VERSION,
        "load_at_start": round(os.getloadavg()[0], 1),
    }


def median_row(runs: Sequence[Row]) -> dict[str, object]:
    """The median of each number; what is no number is that of the first run."""
    return {name: _median([run[name] for run in runs]) for name in runs[0]}


def rounded(value: float, digits: int = 3) -> float | int:
    """`value` with so many significant digits."""
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() else short


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least this share of them does not exceed."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


def progress(text: str) -> None:
    """A remark on the way; results stay alone on standard output."""
    stderr.print(text, highlight=False, markup=False)


def _median(values: Sequence[object]) -> object:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return rounded(median(numbers)) if len(numbers) == len(values) else values[0]


def _commit() -> str:
    command = ("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - constant
    return result.stdout.strip() or "unknown"
