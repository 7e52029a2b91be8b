"""Logs on stdout, one line of JSON an event, from structlog and the standard library alike; without secrets."""

import logging
import sys
import traceback
from types import TracebackType
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from common.log_limit import LimitedHandler
from common.redaction import redacted

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
CHATTY = (
    "aiokafka",
    "alembic",
    "asyncio",
    "faststream",
    "httpcore",
    "httpx",
    "uvicorn",
    "uvicorn.access",
    "uvicorn.error",
)
"""Libraries that log from WARNING on: below it they print URLs, payloads and every poll."""


def configure(service: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send logs to `stream` (None: stdout) from `level` on, a name of LEVELS in any case; raises ValueError for others.

    Text on a terminal, JSON elsewhere; of repeated warnings and errors the first, then their number (`log_limit`).
    Run uvicorn with `log_config=None`.
    """
    if level.upper() not in LEVELS:
        raise ValueError(f"the log level is one of {', '.join(LEVELS)}")
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = LimitedHandler(stream or sys.stdout)
    handler.setFormatter(_formatter(service, for_people=handler.stream.isatty()))
    logging.basicConfig(handlers=[handler], level=number, force=True)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # its report of a failed line would print the line's raw values
    sys.excepthook = _log_crash
    _quieten(number)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _quieten(level: int) -> None:
    for name in CHATTY:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(level, logging.WARNING))


def _shared() -> list[Processor]:
    """Processors that do not depend on the format of the output."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(service: str, *, for_people: bool) -> logging.Formatter:
    def name_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(), structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            name_service,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.ExceptionRenderer(_render_exception),
            _redact,
            _for_people() if for_people else structlog.processors.JSONRenderer(),
        ],
    )


def _for_people() -> Processor:
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


def _redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return cast("EventDict", redacted(event))


def _render_exception(exc_info: ExcInfo) -> str:
    """Render without the values of local variables; the text is bounded by redaction."""
    return "".join(traceback.format_exception(*exc_info, limit=-20)).rstrip()


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        structlog.get_logger("crash").critical("process.crashed", exc_info=(kind, error, trace))
