"""Files replaced whole or not at all, by one process at a time."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.settings import StartRefusedError

LOCK_DEADLINE = 10.0
"""Seconds; a change takes milliseconds."""


class FileError(StartRefusedError):
    """A file cannot be changed; the message names it and the next step, never its content."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock on the folder of `path`; raises FileError where it is not free within LOCK_DEADLINE."""
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
    deadline = time.monotonic() + LOCK_DEADLINE
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
    """Replace the content of a file; owner and mode are kept. After a crash there is the old file or the new one.

    Raises FileError. Call it inside `locked`.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.new")
    try:
        temporary.unlink(missing_ok=True)  # of a process that was killed
        _write_like(target, temporary, content)
        temporary.rename(target)
        _sync(target.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise FileError(f"{path} cannot be replaced: {_reason(error)}") from None


def _write_like(target: Path, temporary: Path, content: bytes) -> None:
    like = target.stat()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
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
        return "it is a mount point; change it at its source, and mount its folder instead"
    if error.errno == errno.EPERM:
        return "its owner could not be kept; run this as its owner or as root"
    return str(error.strerror)
