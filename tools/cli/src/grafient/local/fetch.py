"""`python -m grafient.local.fetch`: fetch what the embedded stack needs and no wheel contains, and prepare its start."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from grafient.cli.output import stderr
from grafient.cli.progress import progress_bar
from grafient.local import startup_cache
from grafient.local.errors import FetchError, StartError
from grafient.local.jars import KAFKA_VERSION, expected, fetch, present
from grafient.local.kafka import Kafka


def main() -> int:
    """Fetch with a progress bar; status 1 and one sentence where it fails."""
    start, here = time.monotonic(), present()
    try:
        if here:
            fetch()
        else:
            fetch_visibly()
    except FetchError as error:
        stderr.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    how = "is here" if here else f"fetched in {time.monotonic() - start:.0f} s"
    stderr.print(f"Apache Kafka {KAFKA_VERSION} {how}", highlight=False)
    if not startup_cache.path().is_file():
        stderr.print("preparing its start, once")
        try:
            asyncio.run(prepare_start())
        except StartError as error:
            stderr.print(f"{error}\nIt will start more slowly.", style="yellow", markup=False, soft_wrap=True)
    return 0


async def prepare_start() -> None:
    """Start a broker once, and keep what its JVM has learned; raises StartError, FetchError."""
    with tempfile.TemporaryDirectory() as name:
        notes = Path(name) / "notes"
        broker = Kafka(Path(name) / "kafka", jvm=startup_cache.recording(notes))
        try:
            await broker.start()
        finally:
            await broker.stop()
        await startup_cache.create(notes)


def fetch_visibly() -> None:
    """Fetch with a progress bar; raises FetchError."""
    total, done = len(expected()), 0
    with progress_bar("fetching Apache Kafka, jar by jar") as progress:

        @contextmanager
        def file(name: str, _size: int) -> Iterator[Callable[[int], None]]:
            nonlocal done
            progress(done, total)
            yield lambda _bytes: None
            done += name.endswith(".jar")
            progress(done, total)

        fetch(file)


if __name__ == "__main__":
    sys.exit(main())
