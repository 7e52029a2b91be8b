#!/app/bin/python -I
"""The images' health check: status 0 while `/livez` reports progress.

Docker restarts containers that have ended, not unhealthy ones: a service that answers badly, or not at all, three times
in a row is killed here. This needs an init process in the container (compose: `init: true`): process 1 cannot be killed
from inside.
"""

import http.client
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

SERVICE = b"/app/bin/start"
ATTEMPTS = 3
PAUSE = 1.0
TIMEOUT = 5.0


def check(port: int, kill: Callable[[], None]) -> int:
    """0 if the service is alive, otherwise 1; `kill` is called if it is stuck, not if it is starting or has ended."""
    for _ in range(ATTEMPTS):
        try:
            if _status(port) == http.client.OK:
                return 0
        except ConnectionRefusedError:
            return 1
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(PAUSE)
    kill()
    return 1


def kill_service() -> None:
    """Kill the service that the entry point of the image started."""
    for pid in _pids():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status
    finally:
        connection.close()


def _pids() -> Iterator[int]:
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if SERVICE in arguments.read_bytes().split(b"\0"):
                yield int(arguments.parent.name)


if __name__ == "__main__":
    sys.exit(check(int(os.environ["PORT"]), kill_service))
