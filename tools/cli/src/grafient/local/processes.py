"""Child processes that never outlive their parent, and free ports for them."""

import asyncio
import ctypes
import os
import random
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
STOP_DEADLINE = 30.0
_PORTS = range(10_000, 32_000)
"""Below those of outgoing connections, one of which could else sit on the port of a server that starts again."""


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    with ExitStack() as stack:
        return [_bind(stack.enter_context(socket.socket())) for _ in range(count)]


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with closing(socket.socket()) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: what has just ended leaves it free
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _bind(one: socket.socket) -> int:
    for port in random.SystemRandom().sample(_PORTS, 100):
        with suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise OSError("no port of 127.0.0.1 is free")


async def spawn(
    argv: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    cwd: Path | None = None,
    when_orphaned: signal.Signals = signal.SIGTERM,
) -> asyncio.subprocess.Process:
    """Start `argv` with its output in `log`; the kernel sends `when_orphaned` should this process die.

    Call it from the main thread: the kernel's promise is bound to the thread that started the child.
    """
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_bind_to_parent(when_orphaned),
        )


async def stop(process: asyncio.subprocess.Process, how: signal.Signals = signal.SIGTERM) -> None:
    """End `process`: politely, then after 30 s not."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.send_signal(how)
    try:
        async with asyncio.timeout(STOP_DEADLINE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def tail(log: Path, lines: int = 15) -> str:
    """The end of `log`, for a message about what failed."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


def _bind_to_parent(when_orphaned: signal.Signals) -> Callable[[], None]:
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()  # looked up here: after a fork the linker may be locked

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, int(when_orphaned), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return bind
