"""Run the operations of a service in this process."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from common import logs

T = TypeVar("T")


def run_operation(service: str, operation: Coroutine[Any, Any, T], *, log_level: str = "WARNING") -> T:
    """The result of `operation`; the code of `service` logs to stderr."""
    logs.configure(service, log_level, stream=sys.stderr)
    return asyncio.run(operation)
