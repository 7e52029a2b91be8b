"""Costs of a day, label by label."""

import json
from collections.abc import Iterator, Sequence
from operator import ge
from typing import Any, Self, overload
from uuid import UUID

from pydantic import GetCoreSchemaHandler, TypeAdapter, model_validator
from pydantic_core import CoreSchema, SchemaValidator, core_schema

from contract.fields import AccountId, Day, Instant, Text
from contract.messages import canonical_costs
from contract.messages.base import Message
from contract.messages.canonical_costs import Texts
from contract.messages.label_lists import LabelList
from contract.money import Usd, plain, total


class Cost(Message):
    """The cost of one label on one day."""

    label: Text
    """As xAI wrote it."""
    product: Text | None = None
    """The kind of product that the label names, such as `Chat`; None where it names none."""
    model: Text
    """The model that the label names; the whole label where it does not fit."""
    usd: Usd


_COSTS: TypeAdapter[tuple[Cost, ...]] = TypeAdapter(tuple[Cost, ...])


class Costs(Sequence[Cost]):
    """The costs of a day. Those of a record that was read are texts that were checked, until somebody looks at one."""

    __slots__ = ("_costs", "_texts")

    def __init__(self, costs: tuple[Cost, ...] | None = None, texts: Texts | None = None) -> None:
        """`texts`: instead of `costs`."""
        self._costs = costs
        self._texts = texts

    @property
    def labels(self) -> LabelList:
        """What the amounts are of."""
        return self._as_texts[0]

    @property
    def amounts(self) -> list[str]:
        """US dollars in the order of the labels, as the message has them."""
        return self._as_texts[1]

    @property
    def json(self) -> str:
        """As the message has them."""
        return _COSTS.dump_json(self._all).decode()

    @property
    def _as_texts(self) -> Texts:
        if self._texts is None:
            labels = _COSTS.dump_json(self._all, exclude={"__all__": {"usd"}}).decode()
            self._texts = LabelList(labels), [plain(cost.usd) for cost in self._all]
        return self._texts

    @property
    def _all(self) -> tuple[Cost, ...]:
        if self._costs is None:
            labels = json.loads(self.labels.json)
            self._costs = _COSTS.validate_python(
                [label | {"usd": usd} for label, usd in zip(labels, self.amounts, strict=True)]
            )
        return self._costs

    @overload
    def __getitem__(self, index: int) -> Cost: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Cost, ...]: ...
    def __getitem__(self, index: int | slice) -> Cost | tuple[Cost, ...]:
        return self._all[index]

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Cost]:
        return iter(self._all)

    def __eq__(self, other: object) -> bool:
        return self._all == (other._all if isinstance(other, Costs) else other)

    def __hash__(self) -> int:
        return hash(self._all)

    def __repr__(self) -> str:
        return repr(self._all)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - any type
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.no_info_before_validator_function(_as_tuple, handler(tuple[Cost, ...])),
            serialization=core_schema.plain_serializer_function_ser_schema(
                _as_tuple, return_schema=handler(tuple[Cost, ...])
            ),
        )


def _as_tuple(costs: object) -> object:
    return tuple(costs) if isinstance(costs, Costs) else costs


class CostRecorded(Message):
    """All costs of one UTC day in one reading: they replace those of an older reading. Empty days are recorded too."""

    account_id: AccountId
    integration_id: UUID
    day: Day
    usd: Usd
    """Sum of `costs`, exact."""
    costs: Costs
    """Sorted by label, one entry a label, zero amounts left out."""
    reading_id: UUID
    observed_at: Instant
    """Instant before the call to xAI; a newer one replaces an older one."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        labels = [cost.label for cost in self.costs]
        if any(map(ge, labels, labels[1:])):
            raise ValueError("costs are sorted by label, one entry a label")
        if total([cost.usd for cost in self.costs]) != self.usd:
            raise ValueError("usd is not the sum of costs")
        return self

    @classmethod
    def read(cls, body: bytes) -> Self:
        """As other messages; one that a syncer wrote is checked without making an object of each cost."""
        found = canonical_costs.read(body)
        if found is None:
            return super().read(body)
        message: Self = _CHECKED.validate_python(found | {"costs": Costs(texts=found["costs"])})
        return message


_ANY = core_schema.model_field(core_schema.any_schema())
_CHECKED = SchemaValidator(
    core_schema.model_schema(
        CostRecorded, core_schema.model_fields_schema(dict.fromkeys(CostRecorded.model_fields, _ANY))
    )
)
"""Makes the message of fields that were checked, faster than `model_construct`."""
