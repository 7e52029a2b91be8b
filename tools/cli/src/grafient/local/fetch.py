"""`python -m grafient.local.fetch`: fetch what the embedded stack needs and no wheel contains. `make install` runs it."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from grafient.cli.output import stderr
from grafient.cli.progress import progress_bar
from grafient.local.errors import FetchError
from grafient.local.jars import KAFKA_VERSION, expected, fetch, present


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
    return 0


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
