"""What the services log about poison."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.support.sending import Origin, Written

LOGGED_AT_MOST = 10_000
"""Bytes about one poison, in all logs together."""
LOUD = {"warning", "error", "critical"}


@dataclass
class ServiceLogs:
    """The lines that are written from now on."""

    folder: Path
    begin: dict[Path, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.begin = {log: log.stat().st_size for log in self._logs()}

    def _logs(self) -> list[Path]:
        return [log for name in ("connector", "syncer", "ledger") for log in self.folder.glob(f"{name}*.log")]

    def lines(self) -> Iterator[bytes]:
        for log in self._logs():
            with log.open("rb") as stream:
                stream.seek(self.begin.get(log, 0))
                yield from stream

    def bytes_of(self, written: Sequence[Written]) -> int:
        """The most bytes about one of them, with its share of the loud lines that name no record."""
        sizes, unnamed = Counter[Origin](), 0
        for line in self.lines():
            entry = _entry(line)
            origins = list(_origins(entry))
            for origin in origins:
                sizes[origin] += len(line) // len(origins)
            if not origins and entry.get("level", "error") in LOUD:
                unnamed += len(line)
        return max(sizes[one.origin] for one in written) + unnamed // len(written)

    def lines_with(self, words: Collection[bytes]) -> list[bytes]:
        return [line for line in self.lines() if any(one in line for one in words)]


def _entry(line: bytes) -> dict[str, Any]:
    """A line that is not JSON was not written on purpose, and counts as loud."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _origins(entry: Mapping[str, Any]) -> Iterator[Origin]:
    if "topic" in entry and "partition" in entry:
        for offset in entry.get("offsets", [entry.get("offset", -1)]):
            yield str(entry["topic"]), int(entry["partition"]), int(offset)
