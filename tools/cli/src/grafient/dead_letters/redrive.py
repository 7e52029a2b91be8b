"""Sending dead letters to their topics again, and finding out what became of each."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from common.kafka.client import client_options
from common.kafka.ranges import range_of, reader, records_of
from common.settings import KafkaSettings
from contract.dead_letters import closing_headers
from contract.topics import DEAD_LETTERS, MAX_DEAD_LETTER_BYTES

from grafient.dead_letters.letters import Letter, letters_of

TOLD_WITHIN = 60.0
"""Seconds to wait for what becomes of a message that was sent again."""
LOOKS_EVERY = 0.2
NOT_SENT = frozenset({"not_kept", "too_often", "would_be_sent"})
REDRIVEN, DROPPED = "redriven", "dropped"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a letter that was to be sent again."""

    letter_id: str
    state: str
    """`handled`, `dead_lettered_again`, `waiting`; or why it was not sent: `not_kept`, `too_often`, `would_be_sent`."""
    detail: str

    @property
    def letter(self) -> str:
        """How the letter itself stands now: `redriven`, or still `open`; what is given up again is a letter of its own."""
        return "open" if self.state in NOT_SENT else REDRIVEN


@dataclass(frozen=True, slots=True)
class Sent:
    """A letter and the offset of its record, sent again."""

    letter: Letter
    offset: int


async def redrive_all(settings: KafkaSettings, letters: Sequence[Letter], told: Callable[[], None]) -> list[Fate]:
    """Send `letters`, whose content was kept, to where they came from, and wait for their fate; `told` hears of each sent."""
    began = datetime.now(UTC)
    sent = []
    async with _producer(settings) as producer:
        for letter in letters:
            sent.append(Sent(letter, await _send(producer, letter)))
            await _close(producer, letter, REDRIVEN)  # after the send: a crash between them sends it once more
            told()
    waiting = await _handled(settings, sent)
    back = await _back(settings, began - timedelta(minutes=1))
    return [_fate(one, waiting, back) for one in sent]


async def close_all(settings: KafkaSettings, letters: Sequence[Letter]) -> list[Letter]:
    """Put `letters` away; answers how they stand then."""
    async with _producer(settings) as producer:
        return [await _close(producer, letter, DROPPED) for letter in letters]


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


async def _send(producer: AIOKafkaProducer, letter: Letter) -> int:
    original = letter.original
    assert original is not None  # noqa: S101 - the caller chose such letters
    headers = original.redrive_headers(letter.redrives + 1)
    written = await producer.send_and_wait(
        letter.topic, original.value, key=original.key, headers=headers, partition=letter.partition
    )
    offset: int = written.offset
    return offset


async def _close(producer: AIOKafkaProducer, letter: Letter, how: str) -> Letter:
    """Beside the letter, in its partition: the newest record of an ID is what holds."""
    headers, key = closing_headers(letter.letter_id, how), letter.letter_id.encode()
    await producer.send_and_wait(DEAD_LETTERS.name, b"", key=key, headers=headers, partition=letter.kept_in)
    return replace(letter, closed=how)


async def _handled(settings: KafkaSettings, sent: Sequence[Sent]) -> list[Sent]:
    """Wait until the services have passed what was sent; answers what they have not passed in time."""
    admin = AIOKafkaAdminClient(**client_options(settings), client_id="grafient")
    await admin.start()
    try:
        async with asyncio.timeout(TOLD_WITHIN):
            while sent := await _not_passed(admin, sent):
                await asyncio.sleep(LOOKS_EVERY)
    except TimeoutError:
        pass
    finally:
        await admin.close()
    return list(sent)


async def _not_passed(admin: AIOKafkaAdminClient, sent: Sequence[Sent]) -> list[Sent]:
    groups = {f"{one.letter.service}.{one.letter.topic}" for one in sent}
    offsets = {group: await admin.list_consumer_group_offsets(group) for group in groups}
    return [one for one in sent if not _passed(one, offsets[f"{one.letter.service}.{one.letter.topic}"])]


def _passed(one: Sent, offsets: Mapping[TopicPartition, object]) -> bool:
    committed = offsets.get(TopicPartition(one.letter.topic, one.letter.partition))
    return committed is not None and getattr(committed, "offset", -1) > one.offset


async def _back(settings: KafkaSettings, since: datetime) -> dict[str, Letter]:
    """What was given up since."""
    async with reader(settings) as consumer:
        spans = await range_of(consumer, DEAD_LETTERS, since)
        return letters_of([record async for records in records_of(consumer, spans) for record in records])


def _fate(one: Sent, waiting: Sequence[Sent], back: Mapping[str, Letter]) -> Fate:
    letter = one.letter
    returned = back.get(f"{letter.service}:{letter.topic}:{letter.partition}:{one.offset}")
    if returned is not None:
        return Fate(letter.letter_id, "dead_lettered_again", f"{returned.reason}: {returned.detail}")
    if one in waiting:
        return Fate(letter.letter_id, "waiting", f"{letter.service} has not come to it within {TOLD_WITHIN:.0f} s")
    return Fate(letter.letter_id, "handled", "")
