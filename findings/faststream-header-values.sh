#!/usr/bin/env bash
# FastStream 0.7.8: a Kafka header whose value is null, or bytes that are not UTF-8, fails in the parser of every
# subscriber. Kafka's header values are bytes or null. The error is raised before any handler or consume_scope runs, and
# the next commit passes the record: it is lost.
#
# Seen with Python 3.11:
#   b'\xff' UnicodeDecodeError
#   None    AttributeError
# Status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "faststream[kafka]==0.7.8" "aiokafka==0.14.0"
cat > "$folder/parse.py" <<'PY'
import asyncio

from aiokafka import ConsumerRecord
from faststream.kafka.message import KafkaMessage
from faststream.kafka.parser import AioKafkaParser

parser = AioKafkaParser(msg_class=KafkaMessage, regex=None)
for value in (b"text", b"\xff", None):
    record = ConsumerRecord("topic", 0, 0, 0, 0, b"key", b"value", None, 3, 5, [("x", value)])
    try:
        print(value, asyncio.run(parser.parse_message(record)).headers)
    except Exception as error:
        print(value, type(error).__name__)
PY
output=$("$folder/venv/bin/python" "$folder/parse.py")
echo "$output"
diff <(echo "$output") <(printf '%s\n' "b'text' {'x': 'text'}" "b'\\xff' UnicodeDecodeError" "None AttributeError")
