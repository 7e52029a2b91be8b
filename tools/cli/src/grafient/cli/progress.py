"""Progress of what takes a while: bars on stderr while it lasts, so that results can be piped."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from grafient.cli.output import stderr

Update = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


@contextmanager
def progress_bars() -> Iterator[Callable[[str], Update]]:
    """What is yielded adds a bar with a title; the bars are removed at the end."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, transient=True) as bars:

        def bar(title: str) -> Update:
            task = bars.add_task(title, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield bar


@contextmanager
def progress_bar(title: str) -> Iterator[Update]:
    """A single bar."""
    with progress_bars() as bar:
        yield bar(title)
