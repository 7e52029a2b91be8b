"""`python -m grafient.local.fetch`: bring what the embedded stack needs and no wheel carries. `make install` runs it."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from grafient.cli.output import progress_console
from grafient.local.jars import KAFKA_VERSION, FetchError, expected, fetch, present

BYTES_PER_MB = 1e6


def main() -> int:
    """Fetch with a progress bar; status 1 and one sentence where it fails."""
    started, here = time.monotonic(), present()
    try:
        if here:
            fetch()
        else:
            _fetch_visibly()
    except FetchError as error:
        progress_console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    how = "is here" if here else f"fetched in {time.monotonic() - started:.0f} s"
    progress_console.print(f"Apache Kafka {KAFKA_VERSION} {how}", highlight=False)
    return 0


def _fetch_visibly() -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("fetching Apache Kafka"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[mb]:.0f} MB"),
        TimeElapsedColumn(),
        TextColumn("{task.description}", style="dim"),
    )
    with Progress(*columns, console=progress_console) as progress:
        bar = progress.add_task("", total=len(expected()), mb=0.0)
        received = 0

        @contextmanager
        def file(name: str, _size: int) -> Iterator[Callable[[int], None]]:
            progress.update(bar, description=name)
            yield more
            if name.endswith(".jar"):
                progress.advance(bar)

        def more(count: int) -> None:
            nonlocal received
            received += count
            progress.update(bar, mb=received / BYTES_PER_MB)

        fetch(file)


if __name__ == "__main__":
    sys.exit(main())
