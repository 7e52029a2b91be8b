#!/usr/bin/env bash
# httpcore 1.0.9 (httpx 0.28.1): `max_keepalive_connections` bounds all connections of a pool, those in use included, and not
# the idle ones alone. With as many requests at a time, the connection of one that ends is closed although no other is idle,
# and the next request opens a new one, TLS handshake included. httpx's default is 20: a client with 20 calls in flight to a
# provider's API gains nothing from keep-alive for the others.
#
# Seen with Python 3.11, max_keepalive_connections=1, beside one request that is not answered yet:
#   5 requests, one after another: 5 connections
# Status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "httpx==0.28.1" "httpcore==1.0.9"
cat > "$folder/connections.py" <<'PY'
import asyncio

import httpx

REQUESTS = 5
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def main():
    accepted = 0
    held, released = asyncio.Event(), asyncio.Event()

    async def serve(reader, writer):
        """Closes no connection before its client does."""
        nonlocal accepted
        accepted += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /held "):
                    held.set()
                    await released.wait()
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    limits = httpx.Limits(max_connections=10, max_keepalive_connections=1)
    async with server, httpx.AsyncClient(base_url=url, limits=limits, trust_env=False) as client:
        waiting = asyncio.create_task(client.get("/held"))
        await held.wait()
        before = accepted
        for _ in range(REQUESTS):
            (await client.get("/")).raise_for_status()
        opened = accepted - before
        released.set()
        await waiting
    print(f"{REQUESTS} requests, one after another: {opened} connections")
    return opened


if asyncio.run(main()) != REQUESTS:
    raise SystemExit("It is otherwise now.")
PY
"$folder/venv/bin/python" "$folder/connections.py"
