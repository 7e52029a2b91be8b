"""An answer's bytes, decompressed as they arrive, so that a bomb is stopped before it fills the memory."""

import zlib
from collections.abc import AsyncIterator

MAX_BYTES = 8 * 1024 * 1024
"""Of the answer, as it came and decompressed."""

_GZIP = 16 + zlib.MAX_WBITS


class BodyError(Exception):
    """Too large, cut off, or compressed in a way that was not asked for."""


async def read_body(chunks: AsyncIterator[bytes], encoding: str) -> bytes:
    """Read the body that `chunks` (as they came) hold under that Content-Encoding; raises BodyError."""
    match encoding.strip().lower():
        case "" | "identity":
            return await _plain(chunks)
        case "gzip" | "x-gzip":
            return await _gunzipped(chunks)
        case _:
            raise BodyError


async def _plain(chunks: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        _refuse_large(len(body))
    return bytes(body)


async def _gunzipped(chunks: AsyncIterator[bytes]) -> bytes:
    gzip = zlib.decompressobj(_GZIP)
    body = bytearray()
    came = 0
    async for chunk in chunks:
        came += len(chunk)
        try:
            body += gzip.decompress(chunk, MAX_BYTES + 1 - len(body))  # never 0, which would mean no limit
        except zlib.error:
            raise BodyError from None
        _refuse_large(max(came, len(body)))  # a stream can also come without end and hold nothing
        if gzip.unused_data:  # zlib would gather whatever follows
            raise BodyError
    if not gzip.eof:
        raise BodyError
    return bytes(body)


def _refuse_large(size: int) -> None:
    if size > MAX_BYTES:
        raise BodyError
