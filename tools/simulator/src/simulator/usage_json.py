"""The text of an answer: amounts digit for digit, in each of the shapes that proto3 JSON allows."""

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum

from simulator.costs import as_sum_of_doubles


class Shape(StrEnum):
    """How an answer departs from the plain one, in which every field is present."""

    OMIT_DEFAULTS = "omit_defaults"  # empty lists and false are left out
    NULL_LISTS = "null_lists"  # empty lists are null
    SPARSE = "sparse"  # points of zero are left out
    EMPTY_VALUES = "empty_values"  # a zero is an empty list of values
    NUMERIC_STRINGS = "numeric_strings"
    EXPONENTS = "exponents"  # 1.25E-3
    NO_GROUP_LABELS = "no_group_labels"  # the field is absent
    EMPTY_GROUP_LABELS = "empty_group_labels"
    UNKNOWN_FIELDS = "unknown_fields"
    END_INCLUDED = "end_included"  # one more point, at endTime
    PROTO_NAMES = "proto_names"  # time_series
    MIXED_NAMES = "mixed_names"  # only data_points and limit_reached
    OTHER_OFFSET = "other_offset"  # the same instants, written with -08:00
    HOURLY = "hourly"  # a point for each hour of a day
    NOISE = "noise"  # doubles, added in another order in each answer
    TINY_AMOUNTS = "tiny_amounts"  # 1.2E-45 instead of zero, as is left of doubles that should add up to it


_PARTLY = {"dataPoints": "data_points", "limitReached": "limit_reached"}
_RENAMED: dict[Shape, dict[str, str]] = {
    Shape.PROTO_NAMES: {"timeSeries": "time_series", "groupLabels": "group_labels", **_PARTLY},
    Shape.MIXED_NAMES: _PARTLY,
}
_PACIFIC = timezone(timedelta(hours=-8))


Point = tuple[datetime, Decimal]
"""The start of an interval, UTC, and US dollars."""


@dataclass(frozen=True, slots=True)
class Series:
    group: tuple[str, ...]
    points: Sequence[Point]


class _Number(str):
    """Digits that are written to the JSON unchanged, because a float would lose some."""

    __slots__ = ()


def write(series: Sequence[Series], shapes: AbstractSet[Shape], *, limit_reached: bool) -> bytes:
    found = [_series(one, shapes) for one in series]
    return to_json(_message({"timeSeries": found, "limitReached": limit_reached}, shapes)).encode()


def to_json(node: object) -> str:
    match node:
        case _Number():
            return node
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{to_json(value)}" for name, value in node.items()) + "}"
        case list():
            return "[" + ",".join(map(to_json, node)) + "]"
        case _:
            return json.dumps(node)


def _message(fields: dict[str, object], shapes: AbstractSet[Shape]) -> dict[str, object]:
    renamed = [names for shape, names in _RENAMED.items() if shape in shapes]
    if Shape.OMIT_DEFAULTS in shapes:
        fields = {name: value for name, value in fields.items() if value}
    if Shape.NULL_LISTS in shapes:
        fields = {name: None if value == [] else value for name, value in fields.items()}
    for names in renamed:
        fields = {names.get(name, name): value for name, value in fields.items()}
    return {**fields, "unknownField": {"a": [1]}} if Shape.UNKNOWN_FIELDS in shapes else fields


def _series(series: Series, shapes: AbstractSet[Shape]) -> dict[str, object]:
    group = list(series.group)
    labels = {"groupLabels": [] if Shape.EMPTY_GROUP_LABELS in shapes else group}
    points = [_point(at, usd, shapes) for at, usd in series.points if usd or Shape.SPARSE not in shapes]
    shown: dict[str, object] = {} if Shape.NO_GROUP_LABELS in shapes else {**labels}
    return _message({"group": group, **shown, "dataPoints": points}, shapes)


def _point(at: datetime, usd: Decimal, shapes: AbstractSet[Shape]) -> dict[str, object]:
    values = [] if Shape.EMPTY_VALUES in shapes and not usd else [_amount(usd, shapes)]
    offset = _PACIFIC if Shape.OTHER_OFFSET in shapes else UTC
    return _message({"timestamp": at.astimezone(offset).isoformat().replace("+00:00", "Z"), "values": values}, shapes)


def _amount(usd: Decimal, shapes: AbstractSet[Shape]) -> str:
    text = f"{usd:E}" if Shape.EXPONENTS in shapes else f"{usd:f}"
    if Shape.NOISE in shapes:
        text = repr(as_sum_of_doubles(usd))
    if Shape.TINY_AMOUNTS in shapes and not usd:
        text = "1.2E-45"
    return text if Shape.NUMERIC_STRINGS in shapes else _Number(text)
