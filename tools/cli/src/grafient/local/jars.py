"""Apache Kafka's jars: resolved once from its Maven artifacts, checked against committed hashes, cached."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

from jgo.maven import Dependency, MavenContext, PythonResolver

from grafient.local.errors import FetchError

KAFKA_VERSION = "4.3.1"
COORDINATES = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.kafka", "kafka-tools", KAFKA_VERSION),
    ("org.slf4j", "slf4j-simple", "1.7.36"),
)
NEXT_STEP = "run `make install`"
TRIES = 3

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Called with a file's name and size in bytes when its download begins; what it yields is called with the size of each piece."""


def cache_dir() -> Path:
    """Where fetched things are kept: GRAFIENT_CACHE, or `grafient` in the user's cache folder."""
    if own := os.environ.get("GRAFIENT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grafient"


def expected() -> dict[str, str]:
    """SHA-256 by the jar's file name."""
    lines = resources.files(__package__).joinpath("jars.sha256").read_text("ascii").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def jars_dir() -> Path:
    return cache_dir() / f"kafka-{KAFKA_VERSION}"


def present() -> bool:
    """Whether every jar is in the cache; `classpath` and `fetch` check what is in them."""
    return all((jars_dir() / name).is_file() for name in expected())


def classpath() -> str:
    """For `java -cp`; raises FetchError where a jar is missing or is not the expected one."""
    folder = jars_dir()
    for name, digest in expected().items():
        check(folder / name, digest)
    return os.pathsep.join(str(folder / name) for name in expected())


def check(jar: Path, digest: str, next_step: str = NEXT_STEP) -> None:
    """Raises FetchError where `jar` does not have this SHA-256."""
    if not jar.is_file():
        raise FetchError(f"{jar.name} is missing from {jar.parent}: {next_step} with a network")
    if not _is(jar, digest):
        raise FetchError(f"{jar} is not the expected file: delete it and {next_step}")


def fetch(progress: Progress | None = None) -> None:
    """Fetch the jars into the cache; without a network where all are there. Raises FetchError."""
    if present():
        classpath()
        return
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="fetching-") as folder:
            _keep(_resolve(Path(folder), progress))
    except OSError as error:
        raise FetchError(
            f"{cache_dir()} cannot be written ({error.strerror}): set GRAFIENT_CACHE to a folder"
        ) from error


def _keep(jars: dict[str, Path]) -> None:
    """Move the jars to the cache once all of them are right."""
    for name, digest in expected().items():
        if name not in jars or not _is(jars[name], digest):
            raise FetchError(f"{name} is not as listed in jars.sha256, nothing is kept: {NEXT_STEP} again")
    jars_dir().mkdir(exist_ok=True)
    for name in expected():
        shutil.move(jars[name], jars_dir() / name)


def _is(jar: Path, digest: str) -> bool:
    with jar.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


def _resolve(folder: Path, progress: Progress | None) -> dict[str, Path]:
    """Each attempt has a folder of its own, for the library takes a file that was cut off for a whole one."""
    for attempt in range(1, TRIES + 1):
        try:
            return _resolved(folder / str(attempt), progress)
        except Exception as error:  # the library raises what its HTTP client and parsers raise
            if attempt == TRIES:
                raise FetchError(
                    f"Apache Kafka {KAFKA_VERSION} could not be fetched ({type(error).__name__}): "
                    f"check the network and {NEXT_STEP} again"
                ) from error
    raise AssertionError


def _resolved(folder: Path, progress: Progress | None) -> dict[str, Path]:
    return resolved(folder, COORDINATES, expected(), progress)


def resolved(
    folder: Path, coordinates: Sequence[tuple[str, str, str]], wanted: Collection[str], progress: Progress | None = None
) -> dict[str, Path]:
    """Those of `wanted` among the jars that `coordinates` need, fetched into `folder`; raises what the library raises.

    By the resolver itself: the library's environments would fetch a whole JDK to sort the jars into modules.
    """
    resolver = PythonResolver(progress_callback=progress)
    context = MavenContext(repo_cache=folder, resolver=resolver)
    needed = [
        Dependency(context.project(group, name).at_version(version).artifact()) for group, name, version in coordinates
    ]
    named, transitive = resolver.resolve(needed)
    found = {one.artifact.filename: one.artifact for one in (*named, *transitive)}
    return {name: artifact.resolve() for name, artifact in found.items() if name in wanted}
