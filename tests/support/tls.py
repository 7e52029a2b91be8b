"""xAI's address over TLS with any certificate; a plain server answers behind it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

AT = "127.0.0.1"
LONG_AGO, YESTERDAY = (datetime.now(UTC) - timedelta(days=days) for days in (400, 1))
Issue = Callable[[trustme.CA], trustme.Blob]
"""Issues the key and certificates that a server presents, from the trusted authority or not."""


def valid(authority: trustme.CA) -> trustme.Blob:
    return authority.issue_cert(AT).private_key_and_cert_chain_pem


def expired(authority: trustme.CA) -> trustme.Blob:
    return authority.issue_cert(AT, not_before=LONG_AGO, not_after=YESTERDAY).private_key_and_cert_chain_pem


def of_another_name(authority: trustme.CA) -> trustme.Blob:
    return authority.issue_cert("another.example").private_key_and_cert_chain_pem


def of_another_authority(_: trustme.CA) -> trustme.Blob:
    return trustme.CA().issue_cert(AT).private_key_and_cert_chain_pem


def signed_by_itself(_: trustme.CA) -> trustme.Blob:
    own = trustme.CA()
    return trustme.Blob(own.private_key_pem.bytes() + own.cert_pem.bytes())


WRONG: dict[str, Issue] = {
    "has expired": expired,
    "is of another name": of_another_name,
    "is of an authority that nobody trusts": of_another_authority,
    "is signed by itself": signed_by_itself,
}


class TlsProxy:
    """Terminates TLS. `greeted` counts handshakes that began, `received` the bytes that clients sent after them."""

    def __init__(self, behind: int) -> None:
        self.behind = behind
        self._authority = trustme.CA()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.sni_callback = self._greet
        self._open: set[asyncio.StreamWriter] = set()
        self._port = 0
        self.greeted = self.received = 0

    @property
    def url(self) -> str:
        return f"https://{AT}:{self._port}"

    def present(self, certificate: Issue) -> None:
        """Present it from now on; all connections are closed."""
        with certificate(self._authority).tempfile() as path:
            self._context.load_cert_chain(path)
        for writer in self._open:
            writer.close()
        self.greeted = self.received = 0

    def trusted_by(self, folder: Path) -> Path:
        """Write a `certifi` that trusts this authority alone, for a process that finds `folder` first."""
        folder.mkdir()
        self._authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        (folder / "certifi.py").write_text(f"def where() -> str:\n    return {str(folder / 'ca.pem')!r}\n")
        return folder

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self.present(valid)
        async with await asyncio.start_server(self._serve, AT, ssl=self._context) as server:
            self._port = server.sockets[0].getsockname()[1]
            yield

    def _greet(self, _socket: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        self.greeted += 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(OSError):
            there, back = await asyncio.open_connection(AT, self.behind)
            await asyncio.gather(self._forward(reader, back, counted=True), self._forward(there, writer))
        self._open.discard(writer)

    async def _forward(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, counted: bool = False
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                self.received += len(data) if counted else 0
                sink.write(data)
                await sink.drain()
        sink.close()
