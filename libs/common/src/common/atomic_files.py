"""Files replaced whole or not at all, by one process at a time."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.settings import StartRefusedError

LOCKED_WITHIN = 10.0
"""Seconds: whoever changes a file holds it for milliseconds."""


class FileError(StartRefusedError):
    """A file cannot be changed; the sentence names it and what to do, never a content."""


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
