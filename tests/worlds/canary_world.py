"""Look for a key in everything that a system leaves behind, in every form that it could have taken."""

import gzip
import json
import re
import secrets
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import psycopg
from e2e_world import PARTITIONS, World
from psycopg import sql

LARGEST = 64 * 1024 * 1024
"""Bytes that a compressed piece may have when it is opened."""
_ESCAPED = re.compile(rb"\\+u00([0-9a-fA-F]{2})|\\+x([0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class Hit:
    """`form` of the marker was found in `place`."""

    place: str
    form: str


@dataclass
class Canary:
    """A mark of 128 random bits that stands in every key of a run; either half is enough to be a hit."""

    mark: str = field(default_factory=lambda: secrets.token_hex(16))

    def __post_init__(self) -> None:
        halves = (self.mark[:16].encode(), self.mark[16:].encode())
        self._needles = {needle: name for half in halves for name, needle in forms(half)}

    def key(self, name: str = "key") -> str:
        return f"fake-canary-{self.mark}-{name}"

    def search(self, place: str, data: bytes) -> list[Hit]:
        """Every form that `data` holds, as it is, unquoted, unescaped, and decompressed."""
        return [
            Hit(place, name) for needle, name in self._needles.items() if any(needle in one for one in _readings(data))
        ]


def forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each form in which `secret` can stand inside something longer."""
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
    """Without the characters at either end in which neighbours of the secret have a part."""
    bare = encoded.rstrip(b"=")
    padding = len(encoded) - len(bare)
    return bare[(0, 2, 3)[shift] : len(bare) - (1 if padding else 0)]


def _readings(data: bytes) -> Iterator[bytes]:
    yield data
    if b"%" in data:
        yield unquote_to_bytes(data)
    if b"\\" in data:
        yield _ESCAPED.sub(lambda found: bytes.fromhex((found[1] or found[2]).decode()), data)
    for opened in (_opened(data, zlib.MAX_WBITS), _opened(data, 16 + zlib.MAX_WBITS)):
        if opened:
            yield opened


def _opened(data: bytes, wbits: int) -> bytes:
    with suppress(zlib.error):
        return zlib.decompressobj(wbits).decompress(data, LARGEST)
    return b""


def in_files(canary: Canary, folder: Path, *, but: Iterable[str] = ()) -> list[Hit]:
    """Names and contents of all files below `folder`; `but` are starts of paths in it that are left out."""
    hits: list[Hit] = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith(tuple(but)):
            continue
        hits += canary.search(f"the name of {name}", name.encode())
        with suppress(FileNotFoundError):  # servers go on writing and tidying
            if path.is_file():
                hits += canary.search(name, path.read_bytes())
    return hits


def in_processes(canary: Canary, pids: dict[str, int]) -> list[Hit]:
    """Command lines and environments."""
    pieces = (
        (f"{what} of {name}", Path(f"/proc/{pid}/{what}"))
        for name, pid in pids.items()
        for what in ("cmdline", "environ")
    )
    return [hit for place, path in pieces for hit in canary.search(place, path.read_bytes())]


def in_records(canary: Canary, topic: str, records: Iterable[Any]) -> list[Hit]:
    """Keys, values and headers."""
    hits: list[Hit] = []
    for record in records:
        pieces = {"key": record.key or b"", "value": record.value or b""}
        pieces |= {f"header {name}": name.encode() + b"=" + (value or b"") for name, value in record.headers}
        place = f"{topic}/{record.partition}@{record.offset}"
        hits += [hit for what, data in pieces.items() for hit in canary.search(f"{what} of {place}", data)]
    return hits


async def in_topics(canary: Canary, world: World, *, but: Iterable[str] = ()) -> list[Hit]:
    """Every partition from its start."""
    read = [name for name in PARTITIONS if name not in but]
    return [hit for name in read for hit in in_records(canary, name, await world.records(name))]


async def in_tables(canary: Canary, database_url: str) -> list[Hit]:
    """Every column of every row of every table that is not Postgres's own."""
    hits: list[Hit] = []
    async with await psycopg.AsyncConnection.connect(database_url.replace("+psycopg", "")) as connection:
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
    """`data` as programs keep it small."""
    return {"zlib": zlib.compress(data), "gzip": gzip.compress(data)}
