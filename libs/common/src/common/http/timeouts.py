"""Deadlines for requests to arrive: without them a client that sends a byte now and then keeps its connection open."""

import asyncio
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_SECONDS = 10.0
"""From the connection, or from the first byte of a later request on it."""
BODY_SECONDS = 15.0
"""From the end of the headers; longer than the deadline of the gate, which answers with a 408."""


class RequestTimeoutProtocol(H11Protocol):
    """Closes a connection when its request is late; uvicorn's own timeout restarts with every byte."""

    seconds: ClassVar[dict[object, float]] = {h11.IDLE: HEADERS_SECONDS, h11.SEND_BODY: BODY_SECONDS}
    """By what the client has to send; in other states there is no deadline."""

    _awaited: object = None
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """The deadline is set once for each part, and not moved by what trickles in."""
        awaited = self.conn.their_state
        if awaited is self._awaited:
            return
        self._end()
        self._awaited = awaited
        if awaited in self.seconds:
            self._deadline = self.loop.call_later(self.seconds[awaited], self.transport.close)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
