"""How a day's costs are written as JSON: its amounts, into the text that all days with the same labels share."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from uuid import UUID

from contract.money import plain, total

WriteCosts = Callable[[Sequence[str]], str]
"""Members of a JSON array, of the amounts in US dollars of a day: one for each label, in the order of the labels."""

_AMOUNT = "\0"
"""In no JSON."""


def by_label(integration_id: UUID, labels: Sequence[str]) -> WriteCosts:
    """`labels`: a JSON object each, with label, product and model."""
    return partial(_written, _texts(integration_id, labels))


def by_model(integration_id: UUID, labels: Sequence[str]) -> WriteCosts:
    """One member for each model, in the order of their names, with the sum of its labels."""
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for number, label in enumerate(labels):
        numbers[json.loads(label)["model"]].append(number)
    models = sorted(numbers)
    members = [{"label": model, "model": model, "product": None} for model in models]
    texts = _texts(integration_id, [json.dumps(one, ensure_ascii=False) for one in members])
    of_models = [numbers[model] for model in models]
    return lambda amounts: _written(texts, [_sum([amounts[number] for number in of_one]) for of_one in of_models])


def _texts(integration_id: UUID, labels: Sequence[str]) -> Sequence[str]:
    """What is before, between and behind the amounts."""
    opening = f'{{"integration_id": "{integration_id}", "usd": "'
    return ", ".join([f'{opening}{_AMOUNT}", {label.removeprefix("{")}' for label in labels]).split(_AMOUNT)


def _written(texts: Sequence[str], amounts: Sequence[str]) -> str:
    every = [""] * (2 * len(amounts) + 1)
    every[::2], every[1::2] = texts, amounts
    return "".join(every)


def _sum(amounts: Sequence[str]) -> str:
    return amounts[0] if len(amounts) == 1 else plain(total(map(Decimal, amounts)))
