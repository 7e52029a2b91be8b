"""What xAI says now, beside what the ledger holds: the part of `grafient reconcile` that asks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from common.database import Database
from contract.money import plain, total
from contract.problems import CAUSES, Code
from ledger.operations import reconcile
from ledger.operations.reconcile import Held

from grafient.replay import entry_point

SETTLED_AFTER = timedelta(days=7)
"""A day's last reading is made so long after its end; until then xAI may still change it, and it is read again by itself."""
MOVED = "moved"
LABELS = 3
"""Shown of one day."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as it was to be."""

    kind: str
    integration_id: str
    account_id: str
    days: str
    detail: str


def ask(since: date, integration_id: UUID | None) -> list[dict[str, Any]]:
    """What the syncer's own entry point hears from xAI, window by window; raises Exit where it fails."""
    heard: list[dict[str, Any]] = []
    arguments = ["--since", str(since), *(["--integration", str(integration_id)] if integration_id else [])]
    entry_point("syncer.operations.ask_xai", "asking xAI", arguments, lambda line: heard.append(line["asked"]))
    return heard


async def compare(database: Database, heard: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Where the ledger holds something else."""
    found: list[Difference] = []
    for said in heard:
        days = [date.fromisoformat(day) for day in said.get("days", ())]
        async with database.transaction() as connection:
            held = await reconcile.held(connection, UUID(said["integration_id"]), said["account_id"], days)
        found += differences(said, held)
    return found


def differences(said: Mapping[str, Any], held: Mapping[date, Held]) -> Iterator[Difference]:
    """Where what is held of a window is not what xAI said of it; `moved` where a later reading is still to come."""
    whose = said["integration_id"], said["account_id"]
    if code := said.get("code"):
        yield Difference("not_asked", *whose, "-", f"{code}: {CAUSES[Code(code)].title}")
    for day in said.get("cut", ()):
        yield Difference("cut_by_xai", *whose, day, "xAI tells only a part of this day")
    for text, amounts in said.get("days", {}).items():
        day, costs = date.fromisoformat(text), {label: Decimal(usd) for label, usd in amounts.items()}
        for kind, detail in (*_in_itself(day, costs, said), *_beside(day, costs, held.get(day))):
            yield Difference(kind, *whose, text, detail)


def _in_itself(day: date, costs: Mapping[str, Decimal], said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    by_label = total(costs.values())
    at_once = Decimal(said["sums"].get(str(day), by_label))  # a day that is cut in one of them is named as cut
    if by_label != at_once:
        kind = "xai_disagrees" if _is_settled(day, datetime.fromisoformat(said["at"])) else MOVED
        yield kind, f"xAI's labels add up to {plain(by_label)}, its sum is {plain(at_once)}"


def _beside(day: date, costs: Mapping[str, Decimal], here: Held | None) -> Iterator[tuple[str, str]]:
    """A day that is not there is named as not covered."""
    if here is not None and here.costs != costs:
        yield "xai_differs" if _is_settled(day, here.observed_at) else MOVED, "; ".join(_labels(here.costs, costs))


def _is_settled(day: date, at: datetime) -> bool:
    return at >= datetime.combine(day + timedelta(days=1), time(), UTC) + SETTLED_AFTER


def _labels(here: Mapping[str, Decimal], there: Mapping[str, Decimal]) -> Iterator[str]:
    different = sorted(label for label in here.keys() | there.keys() if here.get(label) != there.get(label))
    for label in different[:LABELS]:
        yield f"{label}: {_usd(here.get(label))} here, {_usd(there.get(label))} at xAI"
    if len(different) > LABELS:
        yield f"and {len(different) - LABELS} more labels"


def _usd(amount: Decimal | None) -> str:
    return "none" if amount is None else plain(amount)
