"""Reads the body of a CostRecorded that is written as its model writes it, with the same checks, in half of the time."""

import re
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from operator import ge
from typing import TypedDict
from uuid import UUID

from contract.messages.label_lists import LabelList
from contract.money import CANONICAL, total

_UUID = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_TEXT = r"[ !#-\[\]-\U0010ffff]*+"
_COST = rf'\{{"label":"({_TEXT})","product":(?:"{_TEXT}"|null),"model":"{_TEXT}"\x00\}}'
_OWNER = rf'\{{"account_id":"(?:[A-Za-z0-9_.-]{{1,64}})","integration_id":"(?:{_UUID})'
_READING = re.compile(rf'\],"reading_id":"({_UUID})","observed_at":"([0-9-]{{10}}T[0-9:]{{8}}\.[0-9]{{6}}Z)"\}}')
_READING_LENGTH = len('],"reading_id":"","observed_at":""}') + 36 + 27
_BEGINNING = re.compile(rf'({_OWNER})","day":"([0-9-]{{10}})","usd":"({CANONICAL})","costs":\[')
_COSTS = re.compile(rf"(?:^|(?<=\}}),){_COST}|(.)", re.DOTALL)
"""Without amounts. What is no cost, behind the beginning or another one, is found by character: nothing is passed over."""
_NO_AMOUNT = "\0"
_AMOUNT = re.compile(rf',"usd":"({CANONICAL})"(?=\}})')

REPEATED = 256
"""Values that are kept, of each kind: the days of a window differ in amounts and in the day alone."""
LONGEST_KEPT = 10_000
"""Characters of a value that is kept."""


Texts = tuple[LabelList, list[str]]
"""The labels of costs, and the amount of each in US dollars."""


class CanonicalCosts(TypedDict):
    """The fields of the message."""

    account_id: str
    integration_id: UUID
    day: date
    usd: Decimal
    costs: Texts
    reading_id: UUID
    observed_at: datetime


def read(body: bytes) -> CanonicalCosts | None:
    """The fields in `body`; None where it is written otherwise, or wrong: then the model names what."""
    try:
        text = body.decode()
        beginning = _BEGINNING.match(text)
        if beginning is None:
            return None
        account_id, integration_id = _owner(beginning[1])
        day, usd = _day(beginning[2]), Decimal(beginning[3])
        reading_id, observed_at = _reading(text[-_READING_LENGTH:])
    except ValueError:
        return None
    costs = _that_add_up(text[beginning.end() : -_READING_LENGTH], usd)
    if costs is None:
        return None
    return {
        "account_id": account_id,
        "integration_id": integration_id,
        "day": day,
        "usd": usd,
        "costs": costs,
        "reading_id": reading_id,
        "observed_at": observed_at,
    }


def _that_add_up(costs: str, usd: Decimal) -> Texts | None:
    """`costs`, where that is nothing but costs, sorted by label, one entry a label, and `usd` their sum."""
    if _NO_AMOUNT in costs:  # as nothing that is written has
        return None
    texts_and_amounts = _AMOUNT.split(costs)
    text, amounts = _NO_AMOUNT.join(texts_and_amounts[::2]), texts_and_amounts[1::2]
    labels = (_labels if len(text) <= LONGEST_KEPT else _labels_once)(text)
    return (labels, amounts) if labels and total(map(Decimal, amounts)) == usd else None


def _labels_once(costs: str) -> LabelList | None:
    """Those of `costs`, which has a null character for each amount, where that is nothing but costs, sorted by label."""
    if costs:
        labels, others = zip(*_COSTS.findall(costs), strict=True)
        if any(others) or any(map(ge, labels, labels[1:])):
            return None
    return LabelList(f"[{costs.replace(_NO_AMOUNT, '')}]")


_labels = lru_cache(maxsize=REPEATED)(_labels_once)


@lru_cache(maxsize=REPEATED)
def _owner(text: str) -> tuple[str, UUID]:
    _, _, _, account_id, _, _, _, integration_id = text.split('"')
    return account_id, UUID(integration_id)


@lru_cache(maxsize=REPEATED)
def _reading(text: str) -> tuple[UUID, datetime]:
    """Raises ValueError for anything else than the end of the body."""
    found = _READING.fullmatch(text)
    if found is None:
        raise ValueError("is no reading")
    return UUID(found[1]), datetime.fromisoformat(found[2])


_day = lru_cache(maxsize=2 * REPEATED)(date.fromisoformat)
