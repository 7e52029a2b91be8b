"""Move every sealed credential to the current key, wait until topic and syncer have followed; find what does not unwrap."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from common.crypto.envelopes import Rewraps, UnsealableError
from connector.operations.rewrap import Batch, Rewrapping

from grafient.cli.database import tables_of
from grafient.cli.progress import Update, progress_bar, progress_bars
from grafient.keys.usage import (
    SERVICES,
    CredentialsTopic,
    Sealed,
    UsageSettings,
    count_by_key,
    credentials_topic,
    sealed_in,
)

POLL_SECONDS = 0.5
STALLED = 120.0
"""Seconds without a step forward: nobody is following."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """The result of a rotation."""

    current: str
    moved: int
    """Rows of connector; or with a dry run, that could be."""
    unsealable: tuple[UUID, ...]
    """Integrations with a sealed key that does not unwrap."""
    behind: dict[str, int] | None = None
    """What still names another key, by where; None: nobody waited for it."""

    @property
    def complete(self) -> bool:
        return not self.unsealable and not any((self.behind or {}).values())

    def sentence(self, *, dry_run: bool) -> str:
        """For people."""
        parts = [f"{self.moved} {'would be' if dry_run else 'are'} wrapped under {self.current}"]
        if self.unsealable:
            parts.append(f"{len(self.unsealable)} do not unwrap and stay as they are: see `grafient keys check`")
        if late := ", ".join(f"{where} ({count})" for where, count in (self.behind or {}).items() if count):
            parts.append(
                f"for {STALLED:.0f} s nobody moved these: {late}; do connector and syncer run? Then run this again"
            )
        elif self.behind is not None:
            parts.append("connector, syncer and topic name no other key in their newest rows and records")
        return "; ".join(parts)


async def rotate(settings: UsageSettings, rewrapper: Rewraps, current: str, *, wait: bool, dry_run: bool) -> Rotation:
    """Move every sealed credential to `current`, which `rewrapper` wraps under."""
    async with tables_of("connector", settings.database_url) as database:
        rewrapping = Rewrapping(database, rewrapper, current)
        with progress_bar("wrapping again") as progress:
            done = await _move(rewrapping, progress, dry_run=dry_run)
        if not wait or done.unsealable:
            return Rotation(current, done.moved, done.unsealable)
        async with credentials_topic(settings) as topic:
            with progress_bars() as bar:
                behind = await _Followers(settings, rewrapping, topic, current, bar).wait()
    return Rotation(current, done.moved, done.unsealable, behind)


async def _move(rewrapping: Rewrapping, progress: Update, *, dry_run: bool) -> Batch:
    total, done = await rewrapping.count(), 0

    def count(batch: Batch) -> None:
        nonlocal done
        done += batch.moved + len(batch.unsealable)
        progress(done, total)

    return await rewrapping.all(count, dry_run=dry_run)


class _Followers:
    """Connector, topic and syncer on their way to the current key."""

    def __init__(
        self,
        settings: UsageSettings,
        rewrapping: Rewrapping,
        topic: CredentialsTopic,
        current: str,
        bar: Callable[[str], Update],
    ) -> None:
        self._settings = settings
        self._rewrapping = rewrapping
        self._topic = topic
        self._current = current
        self._reading = bar("reading the topic")
        self._bars = {where: bar(f"{where} follows") for where in ("connector", "topic", "syncer")}
        self._most: dict[str, int] = {}

    async def wait(self) -> dict[str, int]:
        """What is behind at the end: nothing, or what did not move for STALLED."""
        now = asyncio.get_running_loop().time
        behind, moved_at = await self._behind(), now()
        while any(behind.values()) and now() - moved_at < STALLED:
            await asyncio.sleep(POLL_SECONDS)
            before, behind = behind, await self._behind()
            moved_at = now() if behind != before else moved_at
        return behind

    async def _behind(self) -> dict[str, int]:
        await self._rewrapping.all()  # a process that had not seen the new key yet may have sealed under another
        on_topic = await self._topic.read_on(self._reading)
        by_key = await count_by_key(self._settings, "syncer")
        behind = {
            "connector": await self._rewrapping.count(),
            "topic": on_topic.others(self._current),
            "syncer": by_key.total() - by_key[self._current],
        }
        for where, count in behind.items():
            most = self._most[where] = max(self._most.get(where, 0), count)
            self._bars[where](most - count, most)
        return behind


@dataclass(frozen=True, slots=True)
class Checked:
    """What unwrapping every data key of connector and syncer showed."""

    count: int
    unsealable: list[Sealed]

    @property
    def nothing_unwraps(self) -> bool:
        """Hardly all of it is damaged: rather are the settings of another environment."""
        return 0 < self.count == len(self.unsealable)


async def check_all(settings: UsageSettings, rewrapper: Rewraps) -> Checked:
    """Unwrap the data key of every sealed credential, and forget it."""
    unsealable, count = list[Sealed](), 0
    with progress_bars() as bar:
        for service in SERVICES:
            progress, done = bar(f"unwrapping those of {service}"), 0
            total = (await count_by_key(settings, service)).total()
            async for batch in sealed_in(settings, service):
                unsealable += [one for one in batch if not _unwraps(rewrapper, one)]
                progress(done := done + len(batch), total)
            count += done
    return Checked(count, unsealable)


def _unwraps(rewrapper: Rewraps, sealed: Sealed) -> bool:
    try:
        rewrapper.check(sealed.envelope, sealed.binding)
    except UnsealableError:
        return False
    return True
