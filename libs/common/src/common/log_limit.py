"""Bounds what is logged about trouble: the first line of each kind whole, then how often it was repeated."""

import logging
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from typing import NamedTuple, TextIO

BYTES = 9_000
"""Of warnings and errors within WITHIN. Lines of work, below WARNING, are not limited; they end with the work."""
OF_LIBRARIES = BYTES // 2
"""Above so many bytes only lines of our own are written: no library can delay these."""
WITHIN = 60.0
"""Seconds."""
LOOK_EVERY = 10.0
"""Seconds between two looks for lines and counts that wait, while there are any."""
MOST_KINDS = 100
"""Known at the same time; whatever else happens is counted together, by level."""
OTHERS = "log.other_kinds"
DISTINCT = ("topic", "server", "route", "loop", "kind", "type", "code")
CAUSES = ("error", "reason")
"""Fields whose values make an event of its own; others, as IDs and offsets, differ in every line."""

_VARYING = re.compile(r"0x[0-9a-f]+|[0-9]+")
_LONGEST = 200


class Kind(NamedTuple):
    """Lines that are the same but for IDs, numbers and times."""

    logger: str
    level: int
    event: str
    """Name of our event, or a library's message before its values are put in."""
    distinct: tuple[str, ...] = ()
    ours: bool = False


@dataclass(slots=True)
class _Seen:
    since: float
    """Begin of what is counted."""
    repeated: int = 0
    waits: str | None = None
    """The first line, while there is no room for it."""


def kind_of(record: logging.LogRecord) -> Kind:
    """Which lines `record` repeats."""
    if not isinstance(record.msg, Mapping):
        return Kind(record.name, record.levelno, _plain(record.msg), (_exception(record.exc_info),))
    fields = record.msg
    distinct = (
        *(str(fields.get(one, ""))[:_LONGEST] for one in DISTINCT),
        *(_plain(fields.get(one, "")) for one in CAUSES),
    )
    failed = _exception(fields.get("exc_info"))
    return Kind(record.name, record.levelno, _plain(fields.get("event")), (*distinct, failed), ours=True)


def _exception(exc_info: object) -> str:
    """The class, whichever way it was given."""
    if exc_info is True:
        exc_info = sys.exc_info()
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    return type(exc_info).__name__


def _plain(value: object) -> str:
    return _VARYING.sub("0", str(value))[:_LONGEST]


class LogLimit:
    """Decides what is written when; not for several threads at the same time."""

    def __init__(
        self,
        write: Callable[[str], None],
        count: Callable[[Kind, int, int], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`count` returns the line "repeated so many times in so many seconds"; `clock`: seconds."""
        self._write = write
        self._count = count
        self._clock = clock
        self._kinds: dict[Kind, _Seen] = {}
        self._written: deque[tuple[float, int]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether `look` has to be called again."""
        return bool(self._kinds)

    def take(self, kind: Kind, line: Callable[[], str]) -> None:
        """Write `line` if it is the first of its kind, as soon as there is room; one longer than BYTES is counted."""
        if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
            kind = Kind("log", kind.level, OTHERS, ours=kind.ours)
        if kind in self._kinds:
            self._kinds[kind].repeated += 1
            return
        text = line()
        seen = self._kinds[kind] = _Seen(self._clock())
        if _size(text) > BYTES:
            seen.repeated = 1
        elif not self._written_as(kind, text):
            seen.waits = text

    def look(self) -> None:
        """Write first lines that waited, and the counts of those kinds that were first seen or counted WITHIN ago."""
        for kind, seen in sorted(self._kinds.items(), key=lambda item: (not item[0].ours, -item[0].level)):
            if seen.waits is not None and self._written_as(kind, seen.waits):
                seen.waits = None
            seconds = self._clock() - seen.since
            if seen.waits is not None or seconds < WITHIN:
                continue
            if not seen.repeated:
                del self._kinds[kind]
            elif self._written_as(kind, self._count(kind, seen.repeated, round(seconds))):
                seen.since, seen.repeated = self._clock(), 0

    def close(self) -> None:
        """The process ends: write all that waits, whatever its size."""
        for kind, seen in self._kinds.items():
            if seen.waits is not None:
                self._write(seen.waits)
            if seen.repeated:
                self._write(self._count(kind, seen.repeated, round(self._clock() - seen.since)))
        self._kinds.clear()

    def _written_as(self, kind: Kind, text: str) -> bool:
        now, size = self._clock(), _size(text)
        while self._written and self._written[0][0] <= now - WITHIN:
            self._written.popleft()
        spent = sum(size for _, size in self._written)
        if spent + size > BYTES or (spent > OF_LIBRARIES and not kind.ours):
            return False
        self._written.append((now, size))
        self._write(text)
        return True


def _size(text: str) -> int:
    return len(text.encode()) + 1


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream; of warnings and errors no more than LogLimit allows."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._limit = LogLimit(self._line, self._counted, clock)
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`, let it wait, or count it."""
        if record.levelno < logging.WARNING:
            super().emit(record)
            return
        try:
            self._limit.take(kind_of(record), lambda: self.format(record))
            self._look_later()
        except Exception:  # noqa: BLE001 - as every handler: a line that cannot be written stops nobody
            self.handleError(record)

    def close(self) -> None:
        """Write all that waits."""
        with self.lock or threading.RLock():
            if self._timer:
                self._timer.cancel()
            with suppress(OSError, ValueError):  # the stream is closed already
                self._limit.close()
        super().close()

    def _look_later(self) -> None:
        if self._timer is None and self._limit.waiting:
            self._timer = threading.Timer(LOOK_EVERY, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        with self.lock or threading.RLock():
            self._timer = None
            try:
                self._limit.look()
            except (OSError, ValueError):
                return  # the stream is closed
            self._look_later()

    def _line(self, text: str) -> None:
        self.stream.write(text + self.terminator)
        self.flush()

    def _counted(self, kind: Kind, repeated: int, seconds: int) -> str:
        record = logging.LogRecord(kind.logger, kind.level, "", 0, kind.event, None, None)
        record.repeated, record.seconds = repeated, seconds
        return Context().run(self.format, record)  # without the fields that are bound where it is written
