"""Send dead letters to their topics again, and find out how each one ended."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from common.kafka.client import admin_client, client_options
from common.settings import KafkaSettings
from contract.dead_letters import closing_headers
from contract.topics import DEAD_LETTERS, MAX_DEAD_LETTER_BYTES

from grafient.cli.progress import Update
from grafient.dead_letters.topic import DeadLetter, read_dead_letters

HANDLED_WITHIN = 60.0
"""Seconds to wait until a record that was sent again is handled."""
POLL_SECONDS = 0.2
NOT_SENT = frozenset({"not_kept", "too_often", "would_be_sent"})
REDRIVEN, DROPPED = "redriven", "dropped"


@dataclass(frozen=True, slots=True)
class RedriveResult:
    """How the redrive of a dead letter ended."""

    dead_letter_id: str
    state: str
    """`handled`, `dead_lettered_again`, `waiting`; or why it was not sent: `not_kept`, `too_often`, `would_be_sent`."""
    detail: str

    @property
    def dead_letter_state(self) -> str:
        """`redriven`, or still `open`; a record that fails again becomes a dead letter of its own."""
        return "open" if self.state in NOT_SENT else REDRIVEN


@dataclass(frozen=True, slots=True)
class Sent:
    """A dead letter and the offset of its record, sent again."""

    dead_letter: DeadLetter
    offset: int

    @property
    def group(self) -> str:
        return f"{self.dead_letter.service}.{self.dead_letter.topic}"

    def is_handled(self, offsets: Mapping[TopicPartition, object]) -> bool:
        """Whether the service has committed an offset behind the record."""
        committed = offsets.get(TopicPartition(self.dead_letter.topic, self.dead_letter.partition))
        return committed is not None and getattr(committed, "offset", -1) > self.offset


async def redrive_all(
    settings: KafkaSettings, dead_letters: Sequence[DeadLetter], progress: Update
) -> list[RedriveResult]:
    """Send the originals of `dead_letters`, which were kept, to their topics, and wait for the results."""
    start = datetime.now(UTC)
    sent: list[Sent] = []
    async with _producer(settings) as producer:
        for one in dead_letters:
            sent.append(Sent(one, await _send(producer, one)))
            await _close(producer, one, REDRIVEN)  # after the send: a crash between them sends it once more
            progress(len(sent), len(dead_letters))
    waiting = await _handled(settings, sent)
    returned = await read_dead_letters(settings, start - timedelta(minutes=1))
    return [_result(one, waiting, returned) for one in sent]


async def drop_all(settings: KafkaSettings, dead_letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Close `dead_letters` without sending them; returns them as they are then."""
    async with _producer(settings) as producer:
        return [await _close(producer, one, DROPPED) for one in dead_letters]


@asynccontextmanager
async def _producer(settings: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        **client_options(settings),
        client_id="grafient",
        acks="all",
        enable_idempotence=True,
        max_request_size=MAX_DEAD_LETTER_BYTES + 100_000,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, one: DeadLetter) -> int:
    original = one.original
    assert original is not None  # noqa: S101 - the caller chose such dead letters
    headers = original.redrive_headers(one.redrives + 1)
    written = await producer.send_and_wait(
        one.topic, original.value, key=original.key, headers=headers, partition=one.partition
    )
    offset: int = written.offset
    return offset


async def _close(producer: AIOKafkaProducer, one: DeadLetter, state: str) -> DeadLetter:
    """Publish to the partition of the dead letter: the newest record of an ID counts."""
    key, headers = one.dead_letter_id.encode(), closing_headers(one.dead_letter_id, state)
    await producer.send_and_wait(DEAD_LETTERS.name, b"", key=key, headers=headers, partition=one.kept_in)
    return replace(one, closed=state)


async def _handled(settings: KafkaSettings, sent: Sequence[Sent]) -> list[Sent]:
    """Wait until the services have handled what was sent; returns what they have not handled in time."""
    try:
        async with asyncio.timeout(HANDLED_WITHIN), admin_client(settings, "grafient") as admin:
            while sent := await _not_handled(admin, sent):
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        pass
    return list(sent)


async def _not_handled(admin: AIOKafkaAdminClient, sent: Sequence[Sent]) -> list[Sent]:
    offsets = {group: await admin.list_consumer_group_offsets(group) for group in {one.group for one in sent}}
    return [one for one in sent if not one.is_handled(offsets[one.group])]


def _result(one: Sent, waiting: Sequence[Sent], returned: Mapping[str, DeadLetter]) -> RedriveResult:
    dead_letter = one.dead_letter
    again = returned.get(f"{dead_letter.service}:{dead_letter.topic}:{dead_letter.partition}:{one.offset}")
    if again is not None:
        return RedriveResult(dead_letter.dead_letter_id, "dead_lettered_again", f"{again.reason}: {again.detail}")
    if one in waiting:
        detail = f"{dead_letter.service} has not handled it within {HANDLED_WITHIN:.0f} s"
        return RedriveResult(dead_letter.dead_letter_id, "waiting", detail)
    return RedriveResult(dead_letter.dead_letter_id, "handled", "")
