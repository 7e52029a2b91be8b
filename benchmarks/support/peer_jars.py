"""The jars of the peer, Debezium's JDBC sink in Kafka Connect: fetched at its first use, checked by hash, cached."""

import os
import shutil
import tempfile
from pathlib import Path

from grafient.local.errors import FetchError
from grafient.local.jars import KAFKA_VERSION, cache_dir, check, resolved

from benchmarks.support.report import progress

DEBEZIUM_VERSION = "3.6.0.Final"
COORDINATES = (
    ("io.debezium", "debezium-connector-jdbc", DEBEZIUM_VERSION),
    ("org.apache.kafka", "connect-runtime", KAFKA_VERSION),
    ("org.hibernate.orm", "hibernate-agroal", "7.2.0.Final"),  # 7.2.6, which Debezium asks for, was not published
    ("org.slf4j", "slf4j-simple", "1.7.36"),
)
HASHES = Path(__file__).with_name("peer_jars.sha256")
"""Without the drivers of other databases."""
NEXT_STEP = "run the benchmark again"


def present() -> bool:
    """Whether every jar is in the cache."""
    return all((_folder() / name).is_file() for name in _expected())


def classpath() -> str:
    """For `java -cp`; raises FetchError where a jar cannot be fetched, or is not the expected one."""
    folder, expected = _folder(), _expected()
    if not present():
        _fetch(folder, expected)
    for name, digest in expected.items():
        check(folder / name, digest, NEXT_STEP)
    return os.pathsep.join(str(folder / name) for name in expected)


def _folder() -> Path:
    return cache_dir() / f"debezium-{DEBEZIUM_VERSION}"


def _expected() -> dict[str, str]:
    """SHA-256 by the jar's file name."""
    return {name: digest for digest, name in map(str.split, HASHES.read_text("ascii").splitlines())}


def _fetch(folder: Path, expected: dict[str, str]) -> None:
    progress(f"fetching Debezium's JDBC sink {DEBEZIUM_VERSION}: {len(expected)} jars")
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="fetching-") as temporary:
        try:
            jars = resolved(Path(temporary), COORDINATES, expected)
        except Exception as error:  # the library raises what its HTTP client and parsers raise
            raise FetchError(f"Debezium's jars could not be fetched ({error}): {NEXT_STEP} with a network") from error
        for name, digest in expected.items():
            check(jars.get(name, folder / name), digest, NEXT_STEP)
        folder.mkdir(exist_ok=True)
        for name in expected:
            shutil.move(jars[name], folder / name)
