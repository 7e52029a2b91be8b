"""Why a call got no answer, in words for operators: the kind of failure, and never a text of xAI or of the network."""

import socket
import ssl
from collections.abc import Iterator

import httpx

_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "the name is not found (DNS)"),
    (ssl.SSLError, "TLS fails: another protocol, or a certificate that is not trusted"),
    (ConnectionRefusedError, "the connection is refused"),
    (TimeoutError, "no answer in time"),
    (httpx.TimeoutException, "no answer in time"),
    (httpx.ConnectError, "no connection"),
    (httpx.TransportError, "the connection breaks"),
)


def cause_of_silence(error: BaseException) -> str:
    """The kind of failure behind an error of httpx."""
    chain = list(_chain(error))
    return next((kind for cause, kind in _KINDS if any(isinstance(one, cause) for one in chain)), "no answer")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _chain(one)
        error = error.__cause__ or error.__context__
