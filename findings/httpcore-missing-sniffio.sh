#!/usr/bin/env bash
# httpcore 1.0.9 with anyio 4.16.0, which no longer brings sniffio: every request on a kept connection looks for the absent
# module again, more than once, through every entry of sys.path, for Python remembers no import that failed. With sniffio
# installed nothing is looked for.
#
# Seen with Python 3.11, 10 requests on one connection after a first one:
#   without sniffio  40
#   with sniffio     0
# Status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "httpcore[asyncio]==1.0.9" "anyio==4.16.0"
cat > "$folder/count.py" <<'PY'
import asyncio
import sys

import httpcore


class Counting:
    """A finder before all others that finds nothing."""

    looked = 0

    def find_spec(self, name, path=None, target=None):
        self.looked += name == "sniffio"
        return None


async def answer(reader, writer):
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = "http://127.0.0.1:%d/" % server.sockets[0].getsockname()[1]
    async with httpcore.AsyncConnectionPool() as pool:
        await pool.request("GET", url)
        counting = Counting()
        sys.meta_path.insert(0, counting)
        for _ in range(10):
            await pool.request("GET", url)
        print(counting.looked)
    server.close()


asyncio.run(main())
PY
without=$("$folder/venv/bin/python" "$folder/count.py" 2> /dev/null)
"$folder/venv/bin/pip" install -q "sniffio==1.3.1"
with=$("$folder/venv/bin/python" "$folder/count.py" 2> /dev/null)
echo "without sniffio  $without"
echo "with sniffio     $with"
diff <(echo "$without $with") <(echo "40 0")
