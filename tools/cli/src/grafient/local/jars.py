"""Apache Kafka's jars: resolved once from its Maven artifacts, checked against committed hashes, kept in a cache."""

import hashlib
import os
import shutil
import tempfile
from importlib import resources
from pathlib import Path

from jgo.env import EnvironmentBuilder, LinkStrategy
from jgo.maven import MavenContext, PythonResolver

KAFKA_VERSION = "4.3.0"
ENDPOINT = "+".join(
    (
        f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
        f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",
        "org.slf4j:slf4j-simple:1.7.36",
    )
)
TRIES = 3


class FetchError(Exception):
    """What is needed could not be brought; the sentence names it and the next step."""


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
    """Whether every jar is in the cache; `fetch` has checked them."""
    return all((jars_dir() / name).is_file() for name in expected())


def classpath() -> str:
    """For `java -cp`; raises FetchError where a jar is missing or is not the expected one."""
    folder = jars_dir()
    for name, digest in expected().items():
        check(folder / name, digest)
    return os.pathsep.join(str(folder / name) for name in expected())


def check(jar: Path, digest: str) -> None:
    """Raises FetchError where `jar` does not have this SHA-256."""
    if not jar.is_file():
        raise FetchError(f"{jar.name} is missing from {jar.parent}: run `make install` with a network")
    found = hashlib.sha256(jar.read_bytes()).hexdigest()
    if found != digest:
        raise FetchError(f"{jar} is not the expected file: delete it and run `make install` again")


def fetch() -> None:
    """Bring the jars into the cache. Nothing is done where all are."""
    if present():
        return
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="fetching-") as folder:
        jars = _resolve(Path(folder))
        for name, digest in expected().items():
            if name not in jars:
                raise FetchError(f"{name} did not come with {ENDPOINT}: the list of jars is out of date")
            check(jars[name], digest)
        jars_dir().mkdir(exist_ok=True)
        for name in expected():
            shutil.move(jars[name], jars_dir() / name)


def _resolve(folder: Path) -> dict[str, Path]:
    for attempt in range(1, TRIES + 1):
        try:
            return _resolved(folder)
        except Exception as error:  # the library raises what its HTTP client and parsers raise
            if attempt == TRIES:
                raise FetchError(f"Apache Kafka's jars could not be fetched ({error}): is there a network?") from error
    raise AssertionError


def _resolved(folder: Path) -> dict[str, Path]:
    context = MavenContext(repo_cache=folder / "repository", resolver=PythonResolver())
    builder = EnvironmentBuilder(context=context, cache_dir=folder / "environment", link_strategy=LinkStrategy.HARD)
    return {jar.name: jar for jar in builder.from_endpoint(ENDPOINT).all_jars}
