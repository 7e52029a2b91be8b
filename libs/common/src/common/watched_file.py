"""A file that people change while the process runs: a change takes effect without a restart."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from common.metrics import FILE_UNUSABLE
from common.settings import StartRefusedError

log = structlog.get_logger()

T = TypeVar("T")

LOOKS_EVERY = 1.0
"""Seconds between two looks at a file's date."""


class WatchedFile(Generic[T]):
    """What a file holds, read again within LOOKS_EVERY of a change; while it cannot be used, what was read before."""

    def __init__(self, path: Path, load: Callable[[Path], T], clock: Callable[[], float] = time.monotonic) -> None:
        """`load` raises StartRefusedError where the file cannot be used, as this does now; `clock` is in seconds."""
        self._path = path
        self._load = load
        self._clock = clock
        self._seen = _mark_of(path)
        self._content = load(path)
        self._next_look = clock() + LOOKS_EVERY

    def content(self) -> T:
        """What the file held at the last look, which is less than LOOKS_EVERY ago."""
        return self.look() if self._clock() >= self._next_look else self._content

    def look(self) -> T:
        """What the file holds now."""
        self._next_look = self._clock() + LOOKS_EVERY
        mark = _mark_of(self._path)  # before reading: a change in between is seen at the next look
        if mark != self._seen:
            self._seen = mark
            self._reload()
        return self._content

    def _reload(self) -> None:
        try:
            self._content = self._load(self._path)
        except StartRefusedError as error:
            FILE_UNUSABLE.labels(self._path.name).set(1)
            log.error("file.unusable", reason=str(error))  # noqa: TRY400 - the sentence says it all
        else:
            FILE_UNUSABLE.labels(self._path.name).set(0)
            log.info("file.reloaded", file=str(self._path))


def _mark_of(path: Path) -> tuple[int, ...]:
    """Another one after every change of content, owner or mode; empty where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
