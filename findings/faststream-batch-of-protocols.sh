#!/usr/bin/env bash
# FastStream 0.7.8: a batch handler fails at the start where its annotation is a sequence of a typing.Protocol.
#
# FastStream builds a pydantic model of the handler's annotations, and pydantic checks a Protocol by isinstance, which
# works only for protocols that are decorated with @runtime_checkable. Nothing is published: the broker does not start.
# Seen with Python 3.11: pydantic_core.SchemaError: 'cls' must be valid as the first argument to 'isinstance'
# Status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "faststream[kafka]==0.7.8" "aiokafka==0.14.0"
cat > "$folder/start.py" <<'PY'
import asyncio
from collections.abc import Sequence
from typing import Protocol

from faststream.kafka import KafkaBroker, TestKafkaBroker


class Record(Protocol):
    value: bytes


async def handle(records: Sequence[Record]) -> None:
    """Handles nothing."""


async def start() -> None:
    broker = KafkaBroker("127.0.0.1:9")
    broker.subscriber("topic", batch=True)(handle)
    async with TestKafkaBroker(broker):
        print("started")


asyncio.run(start())
PY
output=$("$folder/venv/bin/python" "$folder/start.py" 2>&1 || true)
echo "$output" | tail -1
echo "$output" | grep -q "'cls' must be valid as the first argument to 'isinstance'"
