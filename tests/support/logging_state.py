"""What a service or a command sets up of logging, for the whole process, and a test leaves as it was."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from common.logs import CHATTY


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    """Undo what the block sets up; its handlers are closed."""
    root, hook = logging.getLogger(), sys.excepthook
    before = (root.handlers[:], root.level, logging.raiseExceptions)
    configured, configuration = structlog.is_configured(), structlog.get_config()
    loggers = [
        (logger, logger.handlers[:], logger.level, logger.propagate) for logger in map(logging.getLogger, CHATTY)
    ]
    try:
        yield
    finally:
        for handler in root.handlers:
            if handler not in before[0]:
                handler.close()
        root.handlers[:], root.level, logging.raiseExceptions = before
        for logger, handlers, level, propagate in loggers:
            logger.handlers[:], logger.propagate = handlers, propagate
            logger.setLevel(level)
        logging.captureWarnings(capture=False)
        sys.excepthook = hook
        structlog.reset_defaults()
        if configured:
            structlog.configure(**configuration)
