"""Moving everything to the current key, and waiting until topic and syncer have followed; finding what does not unwrap."""

import asyncio
from dataclasses import asdict, dataclass
from uuid import UUID

from common.crypto.envelopes import Rewraps, UnsealableError
from common.database import Database
from connector.operations.rewrap import Batch, Rewrapping
from rich.progress import Progress, TaskID

from grafient.cli.output import progress_console
from grafient.keys.usage import TABLES, CredentialsTopic, Sealed, UsageSettings, credentials_topic, named_in, sealed_in

LOOKS_EVERY = 0.5
STALLED = 120.0
"""Seconds without a step forward: nobody is following."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What became of a rotation."""

    current: str
    moved: int
    """Rows of connector; or with a dry run, that could be."""
    unsealable: tuple[UUID, ...]
    """Integrations whose sealed key does not unwrap."""
    behind: dict[str, int] | None = None
    """What still names another key, by where; None: it was not waited for."""

    @property
    def complete(self) -> bool:
        return not self.unsealable and not any((self.behind or {}).values())

    def row(self) -> dict[str, object]:
        """For programs."""
        return asdict(self) | {"unsealable": [str(one) for one in self.unsealable]}

    def sentence(self, *, dry_run: bool) -> str:
        """For people."""
        said = [f"{self.moved} {'would be' if dry_run else 'are'} wrapped under {self.current}"]
        if self.unsealable:
            said.append(f"{len(self.unsealable)} do not unwrap and stay as they are: see `grafient keys check`")
        if late := ", ".join(f"{where} ({count})" for where, count in (self.behind or {}).items() if count):
            said.append(
                f"for {STALLED:.0f} s nobody moved these: {late}; do connector and syncer run? Then run this again"
            )
        elif self.behind is not None:
            said.append("connector, syncer and topic name no other key in their newest rows and records")
        return "; ".join(said)


async def rotate(
    settings: UsageSettings, database: Database, rewrapper: Rewraps, current: str, *, wait: bool, dry_run: bool
) -> Rotation:
    """Move every sealed key to `current`, which `rewrapper` wraps under."""
    rewrapping = Rewrapping(database, rewrapper, current)
    with Progress(console=progress_console, transient=True) as bar:
        done = await _move(rewrapping, bar, dry_run=dry_run)
        rotation = Rotation(current, done.moved, done.unsealable)
        if not wait or done.unsealable:
            return rotation
        async with credentials_topic(settings) as topic:
            behind = await _Following(rewrapping, database, topic, current, bar).until_done()
    return Rotation(current, done.moved, done.unsealable, behind)


async def _move(rewrapping: Rewrapping, bar: Progress, *, dry_run: bool) -> Batch:
    task = bar.add_task("wrapping anew", total=await rewrapping.count())

    def told(batch: Batch) -> None:
        bar.advance(task, batch.moved + len(batch.unsealable))

    return await rewrapping.all(told, dry_run=dry_run)


class _Following:
    """Everybody's way to the current key."""

    def __init__(
        self, rewrapping: Rewrapping, database: Database, topic: CredentialsTopic, current: str, bar: Progress
    ) -> None:
        self._rewrapping = rewrapping
        self._database = database
        self._topic = topic
        self._current = current
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    async def until_done(self) -> dict[str, int]:
        """What is behind at the end: nothing, or what did not move for STALLED."""
        now = asyncio.get_running_loop().time
        behind, moved_at = await self._look(), now()
        while any(behind.values()) and now() - moved_at < STALLED:
            await asyncio.sleep(LOOKS_EVERY)
            before, behind = behind, await self._look()
            moved_at = now() if behind != before else moved_at
        return behind

    async def _look(self) -> dict[str, int]:
        await self._rewrapping.all()  # a process that had not seen the new key yet may have sealed under another
        found = await self._topic.read_on(self._reading)
        named = await named_in(self._database, "syncer")
        behind = {
            "connector": await self._rewrapping.count(),
            "topic": found.others(self._current),
            "syncer": named.total() - named[self._current],
        }
        for where, count in behind.items():
            self._show(where, count)
        return behind

    def _show(self, where: str, count: int) -> None:
        if where not in self._tasks:
            self._tasks[where] = self._bar.add_task(f"{where} follows", total=count)
        total = max(self._bar.tasks[self._tasks[where]].total or 0, count)
        self._bar.update(self._tasks[where], total=total, completed=total - count)

    def _reading(self, read: int, total: int) -> None:
        if "reading" not in self._tasks:
            self._tasks["reading"] = self._bar.add_task("reading the topic", total=total)
        self._bar.update(self._tasks["reading"], total=total, completed=read)


@dataclass(frozen=True, slots=True)
class Checked:
    """What unwrapping every data key of connector and syncer showed."""

    count: int
    unsealable: list[Sealed]

    @property
    def is_of_elsewhere(self) -> bool:
        """Whether nothing at all unwraps: hardly all of it is damaged, rather is it looked at with the wrong settings."""
        return 0 < self.count == len(self.unsealable)


async def check_all(database: Database, rewrapper: Rewraps) -> Checked:
    """Unwrap the data key of every sealed key, and forget it."""
    found, count = [], 0
    with Progress(console=progress_console, transient=True) as bar:
        for where in TABLES:
            task = bar.add_task(f"unwrapping those of {where}", total=(await named_in(database, where)).total())
            async for batch in sealed_in(database, where):
                found += [one for one in batch if not _unwraps(rewrapper, one)]
                count += len(batch)
                bar.advance(task, len(batch))
    return Checked(count, found)


def _unwraps(rewrapper: Rewraps, sealed: Sealed) -> bool:
    try:
        rewrapper.check(sealed.envelope, sealed.place)
    except UnsealableError:
        return False
    return True
