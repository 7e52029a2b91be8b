#!/usr/bin/env bash
# aiokafka 0.14.0: a consumer that works on a batch for more than 0.1 s waits for records that the broker has. It sends a
# broker one fetch at a time. 0.1 s after an answer it fetches the partitions of which nothing is left to poll, without
# the one that is being worked on. Where they have no new records, the broker keeps that fetch for fetch.max.wait.ms
# (500), and the partition that has more is not fetched until then.
#
# Two partitions, of which one has six records; a fetch brings one, and each takes 0.2 s of work. While one is worked on
# the next one is fetched, so every other poll waits.
# Seen with Python 3.11: "fetches of the empty partition alone: 3", "polls that waited for records that were there: 2".
# Status 0: it is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "aiokafka==0.14.0"
cat > "$folder/fetch.py" <<'PY'
import asyncio
import struct

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.protocol.fetch import FetchRequest_v4, FetchResponse_v4
from aiokafka.protocol.metadata import MetadataResponse_v1
from aiokafka.record.default_records import DefaultRecordBatchBuilder

FETCH, METADATA, API_VERSIONS = 1, 3, 18
FULL, EMPTY, RECORDS, WORK = 0, 1, 6, 0.2
alone = 0


def record_at(offset):
    batch = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000)
    batch.append(0, timestamp=0, key=None, value=b"a record", headers=[])
    built = batch.build()
    struct.pack_into(">q", built, 0, offset)  # the base offset is not part of the checksum
    return bytes(built)


async def answer_to(key, body, port):
    global alone
    if key == API_VERSIONS:
        ranges = ((FETCH, 4, 4), (METADATA, 0, 1), (API_VERSIONS, 0, 0))
        return struct.pack(">hi", 0, len(ranges)) + b"".join(struct.pack(">hhh", *one) for one in ranges)
    if key == METADATA:
        partitions = [(0, number, 1, [1], [1]) for number in (FULL, EMPTY)]
        return MetadataResponse_v1([(1, "127.0.0.1", port, None)], 1, [(0, "costs", False, partitions)]).encode()
    request = FetchRequest_v4.decode(body)
    offsets = {partition: offset for _, asked in request.topics for partition, offset, _ in asked}
    if offsets.get(FULL, RECORDS) >= RECORDS:  # no partition of this fetch has a record
        alone += FULL not in offsets
        await asyncio.sleep(request.max_wait_time / 1000)
    ends = {FULL: RECORDS, EMPTY: 0}
    found = [
        (number, 0, ends[number], ends[number], None, record_at(offset) if offset < ends[number] else b"")
        for number, offset in offsets.items()
    ]
    return FetchResponse_v4(0, [("costs", found)]).encode()


async def serve(reader, writer):
    port = writer.get_extra_info("sockname")[1]
    try:
        while True:
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            message = await reader.readexactly(size)
            key, _, correlation, client = struct.unpack(">hhih", message[:10])
            body = await answer_to(key, message[10 + max(client, 0) :], port)
            writer.write(struct.pack(">ii", 4 + len(body), correlation) + body)
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        writer.close()


async def consume():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    consumer = AIOKafkaConsumer(bootstrap_servers=address, enable_auto_commit=False)
    await consumer.start()
    full, empty = TopicPartition("costs", FULL), TopicPartition("costs", EMPTY)
    consumer.assign([full, empty])
    consumer.seek(full, 0)
    consumer.seek(empty, 0)
    polled = waited = 0
    while polled < RECORDS:
        begun = asyncio.get_running_loop().time()
        found = await consumer.getmany(timeout_ms=5_000)
        waited += asyncio.get_running_loop().time() - begun > 0.15
        polled += sum(map(len, found.values()))
        await asyncio.sleep(WORK)
    print("fetches of the empty partition alone:", alone)
    print("polls that waited for records that were there:", waited)
    await consumer.stop()
    server.close()


asyncio.run(consume())
PY
output=$("$folder/venv/bin/python" "$folder/fetch.py")
echo "$output"
grep -q "fetches of the empty partition alone: [23]" <<< "$output"
grep -q "polls that waited for records that were there: 2" <<< "$output"
