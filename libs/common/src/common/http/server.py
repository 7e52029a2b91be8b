"""How a service serves its app, and how it stops: clients and balancers turn to another process before it closes."""

import asyncio
import gc
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE

from common import tracing
from common.hardening import disable_core_dumps
from common.http.timeouts import RequestTimeoutProtocol
from common.settings import EXIT_BAD_SETTINGS, StartRefusedError

KEEP_ALIVE = 120
"""Seconds: longer than pooled clients and proxies keep an idle connection (60 to 90), so that they close it, not we."""
YOUNG_OBJECTS = 20_000
"""After so many new ones Python looks for cycles among them; by default 700, of which one batch of records makes many times
as many."""
DRAIN, SHORTEST_DRAIN = 13.0, 8.0
"""Seconds from the signal until open requests are cancelled, and from the end of the pause."""
CLOSE = (b"connection", b"close")


def serve(
    create: Callable[[], FastAPI], *, host: str, port: int, keep_alive: int = KEEP_ALIVE, stop_pause: float = 0.0
) -> None:
    """Run the app that `create` returns until SIGTERM; see `server_of`. What is there by then is never looked at as garbage.

    Exits with status 78 and a message where `create` raises StartRefusedError, with another one where the start failed.
    """
    disable_core_dumps()
    try:
        app = create()
    except StartRefusedError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_BAD_SETTINGS)
    server = server_of(app, host=host, port=port, keep_alive=keep_alive, stop_pause=stop_pause)
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    gc.enable()  # see `common.unloaded`
    with suppress(KeyboardInterrupt):  # uvicorn raises it after a shutdown by Ctrl-C
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def server_of(
    app: FastAPI,
    *,
    host: str,
    port: int,
    keep_alive: int = KEEP_ALIVE,
    stop_pause: float = 0.0,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> uvicorn.Server:
    """The server that `serve` runs.

    `keep_alive`: seconds that an idle connection stays open; `stop_pause`: seconds in which a stopping process still
    takes requests, is not ready, and closes every connection with its next answer; `pause` waits the given seconds.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=RequestTimeoutProtocol,
        log_config=None,
        access_log=False,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=int(max(DRAIN - stop_pause, SHORTEST_DRAIN)),
    )
    return _Server(config, app, partial(pause, stop_pause))


class _Server(uvicorn.Server):
    """The lifespan ends only when all connections are closed: `on_shutdown` of the app ends those that stay open."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, pause: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._app = app
        self._pause = pause

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.stopping = True
        self._close_with_next_answers()
        await self._pause()
        self._app.state.on_shutdown()
        await super().shutdown(sockets)
        tracing.stop()  # blocks, and nothing else is left to do

    def _close_with_next_answers(self) -> None:
        """Of requests to come, and of those in work, which have the headers of their beginning."""
        headers = [*self.server_state.default_headers, CLOSE]
        self.server_state.default_headers = headers
        for connection in self.server_state.connections:
            if isinstance(connection, RequestTimeoutProtocol) and connection.cycle is not None:
                connection.cycle.default_headers = headers
