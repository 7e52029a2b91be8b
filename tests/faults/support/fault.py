"""`async with fault("the broker is killed"):` load while the body breaks something, then proof that it has healed."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field

from tests.faults.support.healing import Healed, healed
from tests.faults.support.load import Load


@dataclass(slots=True)
class Row:
    """One row of the table that a run ends with."""

    fault: str
    healed: Healed = field(init=False)

    def note(self, measured: str) -> None:
        """Add to the row what its test has measured."""
        self.fault += f", {measured}"


@dataclass(frozen=True, slots=True)
class Fault:
    """Runs each fault against one system, and records its row."""

    load: Load
    rows: list[Row]

    @asynccontextmanager
    async def __call__(self, name: str, *, under_load: bool = True) -> AsyncIterator[Row]:
        """Run the load while the body breaks something; when it ends, the system must heal without a person."""
        row = Row(name)
        async with self.load.running() if under_load else nullcontext():
            yield row
        row.healed = await healed(self.load)
        self.rows.append(row)


def as_text(rows: Sequence[Row]) -> Iterator[str]:
    """The table for a terminal, line by line."""
    yield f"{'fault':<72} {'syncs':>6} {'healed after':>13} {'delivered twice':>16} {'lost':>5} {'doubled':>8}"
    for row in rows:
        one = row.healed
        figures = f"{one.syncs:>6} {one.after:>11.1f} s {one.redelivered:>16} {one.lost:>5} {one.doubled:>8}"
        yield f"{row.fault:<72} {figures}"


def as_markdown(rows: Sequence[Row]) -> Iterator[str]:
    """The table of docs/faults.md, line by line."""
    yield "| fault | syncs meanwhile | healed after | delivered twice | lost | doubled |"
    yield "|---|--:|--:|--:|--:|--:|"
    for row in rows:
        one = row.healed
        yield f"| {row.fault} | {one.syncs} | {one.after:.1f} s | {one.redelivered} | {one.lost} | {one.doubled} |"
