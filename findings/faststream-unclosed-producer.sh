#!/usr/bin/env bash
# FastStream 0.7.8: where the broker cannot be reached, start() raises and leaves its AIOKafkaProducer unclosed, also
# after stop(): the producer is stored only once it has connected.
#
# Seen with Python 3.11: "ResourceWarning: Unclosed AIOKafkaProducer" after KafkaConnectionError and stop().
# Status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "faststream[kafka]==0.7.8" "aiokafka==0.14.0"
cat > "$folder/start.py" <<'PY'
import asyncio
import gc
import socket

from faststream.kafka import KafkaBroker


async def start() -> None:
    with socket.socket() as free:  # bound and not listening: nobody answers
        free.bind(("127.0.0.1", 0))
        broker = KafkaBroker("127.0.0.1:%d" % free.getsockname()[1])
        try:
            await broker.start()
        except Exception as error:
            print(type(error).__name__)
        await broker.stop()
    del broker
    gc.collect()


asyncio.run(start())
PY
output=$("$folder/venv/bin/python" -W always::ResourceWarning "$folder/start.py" 2>&1)
echo "$output" | grep -E "KafkaConnectionError$|Unclosed"
echo "$output" | grep -q "Unclosed AIOKafkaProducer"
