"""The search for a key finds it wherever it is planted, and in whatever form."""

import os
import subprocess
import sys
import uuid
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote_from_bytes

import psycopg
import pytest

from tests.support.messages import raw_record
from tests.support.secret_search import Canary, in_files, in_processes, in_records, in_tables, packed
from tests.support.urls import psycopg_url

FORMS: dict[str, Callable[[bytes], bytes]] = {
    "itself": lambda key: key,
    "in capitals": bytes.upper,
    "reversed": lambda key: key[::-1],
    "hex": lambda key: key.hex().encode(),
    "HEX": lambda key: key.hex().upper().encode(),
    "URL-quoted": lambda key: b"".join(b"%%%02X" % one for one in key),
    "url-quoted": lambda key: b"".join(b"%%%02x" % one for one in key),
    "partly URL-quoted": lambda key: quote_from_bytes(key + b"/ ").encode(),
    "JSON-escaped": lambda key: b"".join(b"\\u%04x" % one for one in key),
    "JSON in JSON": lambda key: b"".join(b"\\\\u%04X" % one for one in key),
    "UTF-16": lambda key: key.decode().encode("utf-16"),
    "UTF-16 BE": lambda key: key.decode().encode("utf-16-be"),
    "cut off": lambda key: key[:30],
    "zlib": lambda key: packed(key)["zlib"],
    "gzip": lambda key: packed(key)["gzip"],
    **{f"base64 + {at}": lambda key, at=at: b64encode(b"\xff" * at + key + b"\xfe" * at) for at in range(4)},  # type: ignore[misc]  # `at` is bound here
    **{f"base64url + {at}": lambda key, at=at: urlsafe_b64encode(b"\xff" * at + key) for at in range(4)},  # type: ignore[misc]  # `at` is bound here
}


@pytest.mark.parametrize("form", FORMS)
def test_a_leak_is_found_in_every_form(form: str) -> None:
    canary = Canary()
    leaked = FORMS[form](canary.key().encode())

    around = leaked if form in {"zlib", "gzip"} else b"before " + leaked + b" after"
    assert canary.search("a log", around)
    assert not Canary().search("a log", around)


@pytest.mark.parametrize("where", ["log line", "name", "deep"])
def test_a_leak_is_found_in_files(tmp_path: Path, where: str) -> None:
    canary = Canary()
    paths = {"log line": "logs/a.log", "name": canary.key(), "deep": "a/b/c/000001"}
    path = tmp_path / paths[where]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("nothing" if where == "name" else f"line\n{canary.key()}\n")

    assert in_files(canary, tmp_path)
    assert in_files(Canary(), tmp_path) == []


@pytest.mark.parametrize("part", ["key", "value", "header", "header's name"])
def test_a_leak_is_found_in_records(part: str) -> None:
    canary = Canary()
    leak = canary.key().encode()
    headers = {"header": [("x", leak)], "header's name": [(canary.key(), b"")]}.get(part, [])
    key, value = leak if part == "key" else None, leak if part == "value" else None
    record = raw_record("topic", value, headers, key=key)

    assert [hit.form for hit in in_records(canary, "topic", [record])] != []
    assert in_records(Canary(), "topic", [record]) == []


@pytest.mark.parametrize("how", ["cmdline", "environ"])
def test_a_leak_is_found_in_processes(how: str) -> None:
    canary = Canary()
    argv = [sys.executable, "-c", "print(flush=True); input()", *([canary.key()] if how == "cmdline" else [])]
    env = os.environ | ({"LEAK": canary.key()} if how == "environ" else {})
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        process.stdout.readline()
        hits = in_processes(canary, {"dummy": process.pid})
        process.communicate(b"\n")

    assert {hit.place for hit in hits} == {f"{how} of dummy"}


@pytest.mark.parametrize("kind", ["text", "jsonb", "bytea", "text[]"])
async def test_a_leak_is_found_in_tables(postgres: str, kind: str) -> None:
    canary, name = Canary(), f"leak_{uuid.uuid4().hex}"
    leak = {"text": canary.key(), "jsonb": f'{{"a": ["{canary.key()}"]}}', "text[]": [canary.key()]}.get(kind)
    async with await psycopg.AsyncConnection.connect(psycopg_url(postgres), autocommit=True) as connection:
        await connection.execute(f"CREATE TABLE {name} (leak {kind})".encode())
        value = packed(canary.key().encode())["zlib"] if kind == "bytea" else leak
        await connection.execute(f"INSERT INTO {name} VALUES (%s)".encode(), [value])  # noqa: S608 - our own name
        try:
            assert {hit.place for hit in await in_tables(canary, postgres)} == {f"public.{name}.leak"}
        finally:
            await connection.execute(f"DROP TABLE {name}".encode())
