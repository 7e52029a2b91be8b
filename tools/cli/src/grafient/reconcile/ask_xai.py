"""Compare xAI's present answers with what the ledger holds: the part of `grafient reconcile` behind `--ask-xai`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from common.database import Database
from contract.money import ZERO, plain, same_amount, same_costs, total
from contract.problems import cause_of
from contract.rules import is_provisional
from ledger.operations import reconcile
from ledger.operations.reconcile import StoredDay
from syncer.operations.ask_xai import WindowAnswer

MOVED = "moved"
LABELS = 3
"""Shown of one day."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as it should be."""

    kind: str
    integration_id: str
    account_id: str
    days: str
    detail: str


async def compare(database: Database, answers: Sequence[WindowAnswer]) -> list[Difference]:
    """Where the ledger holds something else."""
    found: list[Difference] = []
    for answer in answers:
        async with database.transaction() as connection:
            stored = await reconcile.stored_days(
                connection, answer.integration_id, answer.account_id, list(answer.days)
            )
        found += differences(answer, stored)
    return found


def differences(answer: WindowAnswer, stored: Mapping[date, StoredDay]) -> Iterator[Difference]:
    """Where the stored days of a window are not as xAI answers; `moved` where a later reading is still to come."""
    owner = str(answer.integration_id), answer.account_id
    if answer.code:
        yield Difference("not_asked", *owner, "-", f"{answer.code.value}: {cause_of(answer.code).title}")
    for day in sorted(answer.cut_days):
        yield Difference("cut_by_xai", *owner, str(day), "xAI answers only a part of this day")
    for day, costs in answer.days.items():
        for kind, detail in (*_in_itself(day, costs, answer), *_beside(day, costs, stored.get(day))):
            yield Difference(kind, *owner, str(day), detail)


def _in_itself(day: date, costs: Mapping[str, Decimal], answer: WindowAnswer) -> Iterator[tuple[str, str]]:
    by_label = total(costs.values())
    as_sum = answer.sums.get(day, by_label)  # a day that is cut in one of the two calls is named as cut
    if not same_amount(by_label, as_sum):
        kind = MOVED if is_provisional(day, answer.at) else "xai_disagrees"
        yield kind, f"xAI's labels add up to {plain(by_label)}, its sum is {plain(as_sum)}"


def _beside(day: date, costs: Mapping[str, Decimal], stored: StoredDay | None) -> Iterator[tuple[str, str]]:
    """A day that is not stored is named as not covered."""
    if stored is not None and not same_costs(stored.costs, costs):
        yield (
            MOVED if is_provisional(day, stored.observed_at) else "xai_differs",
            "; ".join(_labels(stored.costs, costs)),
        )


def _labels(here: Mapping[str, Decimal], there: Mapping[str, Decimal]) -> Iterator[str]:
    labels = sorted(here.keys() | there.keys())
    different = [one for one in labels if not same_amount(here.get(one, ZERO), there.get(one, ZERO))]
    for label in different[:LABELS]:
        yield f"{label}: {_usd(here.get(label))} here, {_usd(there.get(label))} at xAI"
    if len(different) > LABELS:
        yield f"and {len(different) - LABELS} more labels"


def _usd(amount: Decimal | None) -> str:
    return "none" if amount is None else plain(amount)
