"""Reads a body, decompressed as it arrives, so that a bomb is stopped before it fills the memory."""

import zlib
from collections.abc import AsyncIterator

MAX_BYTES = 8 * 1024 * 1024
"""Of the answer, both as received and decompressed."""
MAX_REFUSAL_BYTES = 8 * 1024
"""Of a refusal; xAI's own has a few hundred."""

_GZIP = 16 + zlib.MAX_WBITS


class BodyError(Exception):
    """Too large, cut off, or compressed in a way that the request did not accept."""


async def read_body(chunks: AsyncIterator[bytes], encoding: str, limit: int = MAX_BYTES) -> bytes:
    """The body of `chunks` (as received), decoded by Content-Encoding, of at most `limit` bytes; raises BodyError."""
    match encoding.strip().lower():
        case "" | "identity":
            return await _plain(chunks, limit)
        case "gzip" | "x-gzip":
            return await _gunzipped(chunks, limit)
        case _:
            raise BodyError


async def _plain(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        _refuse_large(len(body), limit)
    return bytes(body)


async def _gunzipped(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    gzip = zlib.decompressobj(_GZIP)
    body = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        try:
            body += gzip.decompress(chunk, limit + 1 - len(body))  # never 0, which would mean no limit
        except zlib.error:
            raise BodyError from None
        _refuse_large(max(received, len(body)), limit)  # an endless stream can also decompress to nothing
        if gzip.unused_data:  # zlib would collect whatever follows
            raise BodyError
    if not gzip.eof:
        raise BodyError
    return bytes(body)


def _refuse_large(size: int, limit: int) -> None:
    if size > limit:
        raise BodyError
