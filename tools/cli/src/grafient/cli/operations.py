"""Run the operations of a service in this process."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from common import logs

T = TypeVar("T")


def run_operation(service: str, operation: Coroutine[Any, Any, T], *, log_level: str = "WARNING") -> T:
    """The result of `operation`; the code of `service` logs to stderr."""
    logs.configure(service, log_level, stream=sys.stderr)
    for name in ("aiokafka", "asyncio"):  # where they fail, the command prints one sentence
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return asyncio.run(operation)
