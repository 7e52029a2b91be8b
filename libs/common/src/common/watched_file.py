"""A file that is changed while the process runs: a change takes effect without a restart."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from common.metrics import FILE_UNUSABLE
from common.settings import StartRefusedError

log = structlog.get_logger()

T = TypeVar("T")

CHECK_EVERY = 1.0
"""Seconds between two checks of a file's date."""


class WatchedFile(Generic[T]):
    """The content of a file, read again within CHECK_EVERY of a change; of an unusable file the last good content."""

    def __init__(self, path: Path, load: Callable[[Path], T], clock: Callable[[], float] = time.monotonic) -> None:
        """`load` raises StartRefusedError where the file is unusable, and so does this; `clock` is in seconds."""
        self._path = path
        self._load = load
        self._clock = clock
        self._fingerprint = _fingerprint(path)
        self._content = load(path)
        FILE_UNUSABLE.labels(path.name).set(0)
        self._next_check = clock() + CHECK_EVERY

    def content(self) -> T:
        """The content at the last check, less than CHECK_EVERY ago."""
        return self.check() if self._clock() >= self._next_check else self._content

    def check(self) -> T:
        """The content now."""
        self._next_check = self._clock() + CHECK_EVERY
        found = _fingerprint(self._path)  # before reading: a change in between is seen at the next check
        if found != self._fingerprint:
            self._fingerprint = found
            self._reload()
        return self._content

    def _reload(self) -> None:
        try:
            self._content = self._load(self._path)
        except StartRefusedError as error:
            FILE_UNUSABLE.labels(self._path.name).set(1)
            log.error("file.unusable", reason=str(error))  # noqa: TRY400 - the sentence is enough
        else:
            FILE_UNUSABLE.labels(self._path.name).set(0)
            log.info("file.reloaded", file=str(self._path))


def _fingerprint(path: Path) -> tuple[int, ...]:
    """Changes with content, owner and mode; empty where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
