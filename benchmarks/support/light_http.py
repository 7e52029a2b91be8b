"""An HTTP client that costs a tenth of a whole one: what it would use is taken from the service that is measured."""

import asyncio
from typing import Self
from urllib.parse import urlsplit


class LightConnection:
    """One connection that is kept open, for one request at a time; the path is all that differs between requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._headers = headers

    @classmethod
    async def to(cls, url: str, token: str) -> Self:
        """Connect to the host and port of `url`."""
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        return cls(reader, writer, f"host: {place.netloc}\r\nauthorization: Bearer {token}\r\n".encode())

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer."""
        kind = b"content-type: application/json\r\n" if body else b""
        length = f"content-length: {len(body)}\r\n\r\n".encode()
        self._writer.write(f"{method} {path} HTTP/1.1\r\n".encode() + self._headers + kind + length + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        if fields.get(b"transfer-encoding") == b"chunked":
            return status, await self._chunks()
        return status, await self._reader.readexactly(int(fields.get(b"content-length", b"0")))

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def _chunks(self) -> bytes:
        parts = []
        while size := int(await self._reader.readline(), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readline()
        await self._reader.readline()
        return b"".join(parts)
