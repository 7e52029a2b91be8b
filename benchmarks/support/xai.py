"""A stand-in for xAI that costs next to nothing: every team and key exists, and answers come from a cache.

The simulator computes the first answer to each question; all teams get the same one. `PUT /control/delay` sets how long
each answer takes from then on: the body is milliseconds. Run it as `python -m benchmarks.support.xai PORT`.
"""

import asyncio
import gzip
import sys
from datetime import UTC, datetime
from functools import cache

from simulator.faults import Fault
from simulator.query import read_query
from simulator.teams import Team
from simulator.usage import response

SEED = 1
END_OF_HEAD = b"\r\n\r\n"


@cache
def answer(question: bytes) -> bytes:
    """The whole response; finished days never change."""
    team = Team("11111111-1111-4111-8111-111111111111", SEED, late_hours=None)
    body = gzip.compress(response(team, read_query(question), Fault(), datetime.now(UTC)), mtime=0)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Xai(asyncio.Protocol):
    """One connection; its client sends a request when the former one is answered."""

    delay = 0.0
    """Seconds, of all connections."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a TCP server
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(END_OF_HEAD)
        if end and len(rest) >= (length := _content_length(head)):
            self._received = rest[length:]
            self._respond(head.split(b" ", 2)[1], rest[:length])

    def _respond(self, path: bytes, body: bytes) -> None:
        if path.endswith(b"/usage"):
            asyncio.get_running_loop().call_later(Xai.delay, self._transport.write, answer(body))
            return
        if path == b"/control/delay":
            Xai.delay = int(body) / 1000
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Xai, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
