#!/usr/bin/env bash
# aiokafka 0.14.0: a producer whose start is cancelled while the bootstrap broker has not yet answered about the cluster,
# as by a timeout, leaves that connection to the garbage collector, also where stop() is called: only Kafka's errors and
# its own timeout close it.
#
# Seen with Python 3.11: "ResourceWarning: Unclosed AIOKafkaConnection" after the cancelled start and stop().
# Status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "aiokafka==0.14.0"
cat > "$folder/start.py" <<'PY'
import asyncio
import gc
import struct

from aiokafka import AIOKafkaProducer

API_VERSIONS, METADATA = 18, 3


async def serve(reader, writer):
    """A broker that says which requests it knows, and takes its time with every other answer."""
    try:
        while True:
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            key, _, correlation = struct.unpack(">hhi", (await reader.readexactly(size))[:8])
            if key == API_VERSIONS:
                known = struct.pack(">hihhhhhh", 0, 2, API_VERSIONS, 0, 0, METADATA, 0, 1)
                writer.write(struct.pack(">ii", 4 + len(known), correlation) + known)
    except asyncio.IncompleteReadError:
        writer.close()


async def start():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:%d" % server.sockets[0].getsockname()[1])
    try:
        async with asyncio.timeout(1):
            await producer.start()
    except TimeoutError:
        print("the start was cancelled")
    await producer.stop()
    del producer
    gc.collect()
    server.close()


asyncio.run(start())
PY
output=$("$folder/venv/bin/python" -W always::ResourceWarning "$folder/start.py" 2>&1)
echo "$output" | grep -oE "the start was cancelled|ResourceWarning: Unclosed AIOKafkaConnection"
echo "$output" | grep -q "the start was cancelled"
echo "$output" | grep -q "Unclosed AIOKafkaConnection"
