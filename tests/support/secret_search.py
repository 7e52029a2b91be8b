"""Search for a secret in all that a system leaves behind, in every form that it can take."""

import gzip
import json
import os
import re
import secrets
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

import psycopg
from psycopg import sql

from tests.support.system import SystemClient
from tests.support.topic_client import PARTITIONS
from tests.support.urls import psycopg_url

LARGEST = 64 * 1024 * 1024
"""Bytes of a decompressed piece, at most."""
_ESCAPED = re.compile(rb"\\+u00([0-9a-fA-F]{2})|\\+x([0-9a-fA-F]{2})")
_ESCAPES = re.compile(rb"(?:\\+(?:u00|x)[0-9a-fA-F]{2}){8,}")
_QUOTED = re.compile(rb"(?:%[0-9a-fA-F]{2}){8,}")
"""Whole runs only: a key with some unescaped characters is found as it is."""


@dataclass(frozen=True, slots=True)
class Hit:
    """`form` of the marker was found in `place`."""

    place: str
    form: str
    mark: str = "key"


@dataclass
class Canary:
    """A mark of 128 random bits that is in every key of a run; either half is a hit."""

    mark: str = field(default_factory=lambda: secrets.token_hex(16))
    name: str = "key"

    def key(self, name: str = "key") -> str:
        return f"fake-canary-{self.mark}-{name}"

    def needles(self) -> dict[bytes, Hit]:
        """What is searched for, and the hit that it would be."""
        halves = (self.mark[:16].encode(), self.mark[16:].encode())
        return {needle: Hit("", form, self.name) for half in halves for form, needle in forms(half)}

    def search(self, place: str, data: bytes) -> list[Hit]:
        """Every form that `data` holds, as it is, unquoted, unescaped, and decompressed."""
        return Canaries([self]).search(place, data)


class Canaries:
    """Several marks, searched for at once."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._needles = {needle: hit for canary in canaries for needle, hit in canary.needles().items()}

    def search(self, place: str, data: bytes) -> list[Hit]:
        readings = list(_readings(data))
        return [
            replace(hit, place=place) for needle, hit in self._needles.items() if any(needle in one for one in readings)
        ]


class Searches(Protocol):
    """A mark, or several."""

    def search(self, place: str, data: bytes) -> list[Hit]: ...


def forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each form that `secret` can have inside something longer."""
    text = secret.decode()
    yield "itself", secret
    yield "in capitals", secret.upper()
    yield "reversed", secret[::-1]
    yield "hex", secret.hex().encode()
    yield "HEX", secret.hex().upper().encode()
    yield "UTF-16 LE", text.encode("utf-16-le")
    yield "UTF-16 BE", text.encode("utf-16-be")
    for shift in range(3):
        for name, encode in (("base64", b64encode), ("base64url", urlsafe_b64encode)):
            yield f"{name} + {shift}", _inner(encode(bytes(shift) + secret), shift)


def _inner(encoded: bytes, shift: int) -> bytes:
    """Without the characters at either end that neighbours of the secret share."""
    bare = encoded.rstrip(b"=")
    padding = len(encoded) - len(bare)
    return bare[(0, 2, 3)[shift] : len(bare) - (1 if padding else 0)]


def _readings(data: bytes) -> Iterator[bytes]:
    yield data
    yield b" ".join(unquote_to_bytes(run) for run in _QUOTED.findall(data))
    yield b" ".join(_ESCAPED.sub(_unescaped, run[0]) for run in _ESCAPES.finditer(data))
    for opened in (_opened(data, zlib.MAX_WBITS), _opened(data, 16 + zlib.MAX_WBITS)):
        if opened:
            yield opened


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex((found[1] or found[2]).decode())


def _opened(data: bytes, wbits: int) -> bytes:
    with suppress(zlib.error):
        return zlib.decompressobj(wbits).decompress(data, LARGEST)
    return b""


def in_files(canary: Searches, folder: Path) -> list[Hit]:
    """Names and contents of all files below `folder`."""
    hits: list[Hit] = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        hits += canary.search(f"the name of {name}", name.encode())
        with suppress(FileNotFoundError):  # servers still write and delete
            if path.is_file():
                hits += canary.search(name, path.read_bytes().rstrip(b"\0"))  # servers reserve space
    return hits


def in_processes(canary: Searches, pids: dict[str, int]) -> list[Hit]:
    """Command lines and environments."""
    pieces = (
        (f"{what} of {name}", Path(f"/proc/{pid}/{what}"))
        for name, pid in pids.items()
        for what in ("cmdline", "environ")
    )
    return [hit for place, path in pieces for hit in canary.search(place, _readable(path))]


def _readable(path: Path) -> bytes:
    """Without root the environment of a process that cannot be dumped is unreadable, also for its own user."""
    try:
        return path.read_bytes()
    except PermissionError:
        assert os.geteuid() != 0
        return b""


def in_records(canary: Searches, topic: str, records: Iterable[Any]) -> list[Hit]:
    """Keys, values and headers."""
    hits: list[Hit] = []
    for record in records:
        pieces = {"key": record.key or b"", "value": record.value or b""}
        pieces |= {f"header {name}": name.encode() + b"=" + (value or b"") for name, value in record.headers}
        place = f"{topic}/{record.partition}@{record.offset}"
        hits += [hit for what, data in pieces.items() for hit in canary.search(f"{what} of {place}", data)]
    return hits


async def in_topics(canary: Searches, client: SystemClient) -> list[Hit]:
    """Every partition from its start."""
    return [hit for name in PARTITIONS for hit in in_records(canary, name, await client.records(name))]


async def in_tables(canary: Searches, database_url: str) -> list[Hit]:
    """Every column of every row of every table that is not Postgres's own."""
    hits: list[Hit] = []
    async with await psycopg.AsyncConnection.connect(psycopg_url(database_url)) as connection:
        found = await connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        for schema, table in await found.fetchall():
            rows = await connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table)))
            names = [one.name for one in rows.description or ()]
            async for row in rows:
                for name, value in zip(names, row, strict=True):
                    hits += canary.search(f"{schema}.{table}.{name}", _bytes(value))
    return hits


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text.encode()


def packed(data: bytes) -> dict[str, bytes]:
    """`data` as programs compress it."""
    return {"zlib": zlib.compress(data), "gzip": gzip.compress(data)}
