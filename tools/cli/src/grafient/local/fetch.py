"""`python -m grafient.local.fetch`: bring what the embedded stack needs and no wheel carries. `make install` runs it."""

import sys
import threading
import time

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from grafient.local.jars import KAFKA_VERSION, FetchError, cache_dir, expected, fetch, present
from grafient.output import progress_console


def main() -> int:
    """Fetch with a progress bar; status 1 and one sentence where it fails."""
    if present():
        progress_console.print(f"Apache Kafka {KAFKA_VERSION} is here")
        return 0
    started = time.monotonic()
    try:
        _fetch_visibly()
    except FetchError as error:
        progress_console.print(f"[red]{error}[/red]")
        return 1
    progress_console.print(f"Apache Kafka {KAFKA_VERSION} fetched in {time.monotonic() - started:.0f} s")
    return 0


def _fetch_visibly() -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[mb]:.0f} MB"),
        TimeElapsedColumn(),
    )
    done = threading.Event()
    with Progress(*columns, console=progress_console) as progress:
        task = progress.add_task(f"fetching Apache Kafka {KAFKA_VERSION}", total=len(expected()), mb=0.0)

        def watch() -> None:
            while not done.wait(0.5):
                jars = [jar.stat().st_size for jar in cache_dir().glob("fetching-*/repository/**/*.jar")]
                progress.update(task, completed=len(jars), mb=sum(jars) / 1e6)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            fetch()
        finally:
            done.set()
            watcher.join()


if __name__ == "__main__":
    sys.exit(main())
