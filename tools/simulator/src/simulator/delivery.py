"""Sends an answer: in time and whole, or not."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from simulator.faults import Fault


class DroppableProtocol(H11Protocol):
    """Adds functions to each request that drop its connection, which ASGI itself does not offer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in H11Protocol
        super().connection_made(transport)
        self.app_state = {**self.app_state, "close": transport.close, "abort": transport.abort}


class Delivery(Response):
    """Sends the answer as the fault specifies; without one, after the delay and whole."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes, fault: Fault, delay_ms: int) -> None:
        super().__init__(body, status, headers)
        self._fault = fault
        self._delay = delay_ms / 1000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self._delay)
        if self._fault.reset:
            await _drop(scope, "abort", receive)
        elif self._fault.hang:
            await _until_disconnected(receive)
        elif self._fault.drip_ms is None and self._fault.cut_after_bytes is None:
            await super().__call__(scope, receive, send)
        else:
            await self._send_pieces(scope, receive, send)

    async def _send_pieces(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self._pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep((self._fault.drip_ms or 0) / 1000)
        if self._fault.cut_after_bytes is not None:
            await _drop(scope, "close", receive)
        else:
            await send({"type": "http.response.body"})

    def _pieces(self) -> list[bytes]:
        body = bytes(self.body)[: self._fault.cut_after_bytes]
        return [body] if self._fault.drip_ms is None else [body[n : n + 1] for n in range(len(body))]


async def _drop(scope: Scope, how: str, receive: Receive) -> None:
    drop: Callable[[], Any] | None = scope.get("state", {}).get(how)
    if drop is None:
        raise ConnectionResetError  # no server, so no connection: an app called in-process
    drop()
    await _until_disconnected(receive)


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
