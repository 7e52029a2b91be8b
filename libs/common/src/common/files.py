"""Files that people change while processes run: noticed without a restart, replaced whole or not at all."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from common.metrics import FILE_UNUSABLE
from common.settings import StartRefusedError

log = structlog.get_logger()

T = TypeVar("T")

LOOKS_EVERY = 1.0
"""Seconds between two looks at a file's date."""
LOCKED_WITHIN = 10.0
"""Seconds: whoever changes a file holds it for milliseconds."""


class FileError(StartRefusedError):
    """A file cannot be changed; the sentence names it and what to do, never a content."""


class LiveFile(Generic[T]):
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


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Nobody else who asks changes a file of the same folder meanwhile; raises FileError where one never ends."""
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise FileError(f"the folder of {path} cannot be opened: {error.strerror}") from None
    try:
        _lock(folder, path)
        yield
    finally:
        os.close(folder)


def _lock(folder: int, path: Path) -> None:
    deadline = time.monotonic() + LOCKED_WITHIN
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise FileError(f"{path} is being changed by another command: try again when it has ended") from None
            time.sleep(0.01)
        else:
            return


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of the file, its owner and mode kept; after a crash there is the former or the new one.

    Raises FileError. Hold the file meanwhile.
    """
    target = path.resolve()
    beside = target.with_name(f".{target.name}.new")
    try:
        beside.unlink(missing_ok=True)  # of somebody who was killed
        _write_like(target, beside, content)
        beside.rename(target)
        _sync(target.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise FileError(f"{path} cannot be replaced: {_reason(error)}") from None


def _write_like(target: Path, beside: Path, content: bytes) -> None:
    like = target.stat()
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - opened with its mode, so never readable by others
        if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(descriptor, like.st_uid, like.st_gid)
        os.fchmod(descriptor, like.st_mode & 0o7777)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    if error.errno in {errno.EBUSY, errno.EXDEV}:
        return "it is mounted by itself; change it where it comes from, and mount its folder"
    if error.errno == errno.EPERM:
        return "its owner could not be kept; run this as its owner or as root"
    return str(error.strerror)
