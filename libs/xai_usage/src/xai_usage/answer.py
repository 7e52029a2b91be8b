"""Parses an answer into exact dollars a UTC day and label. Pure: no I/O, no clock."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, DecimalException, InvalidOperation
from functools import lru_cache
from typing import NoReturn, TypeVar

from contract.money import EXACT, MAX_INTEGER_DIGITS, ZERO, parse_usd, total

T = TypeVar("T")
NO_LABEL = "(no label)"
MAX_PARTS = 700_000
"""Fields, points and values: more than 8 MiB of the documented answer can hold. Each costs a hundred times its text."""

TICK = Decimal("1E-10")
"""US dollars: what xAI bills in, so that digits beyond it are the noise of sums of doubles."""

NONE: list[object] = []
MIDNIGHT = time()
_ROUNDING = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation])
_PROTO_NAMES = {
    "timeSeries": "time_series",
    "groupLabels": "group_labels",
    "dataPoints": "data_points",
    "limitReached": "limit_reached",
}
"""proto3 JSON: a reader takes both names of a field."""
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")  # what Postgres and UTF-8 cannot hold


def _both_names(*fields: str) -> frozenset[str]:
    return frozenset({*fields, *(_PROTO_NAMES.get(field, field) for field in fields)})


_OF_ANSWER = _both_names("timeSeries", "limitReached")
_OF_SERIES = _both_names("group", "groupLabels", "dataPoints")
_OF_POINT = _both_names("timestamp", "values")


class UnreadableAnswerError(Exception):
    """These bytes are not the documented answer; nothing may be taken from them."""


class OtherDaysError(UnreadableAnswerError):
    """An answer about other days than requested: its amounts belong to no UTC day of the range."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a 200, for the days of the question."""

    first_day: date
    last_day: date
    days: Mapping[date, Mapping[str, Decimal]]
    """US dollars per label, whole ticks, never zero; every day of the range is there, also the empty ones."""
    limit_reached: bool
    """xAI cut the answer: `days` is incomplete, and no total of anything."""
    body: bytes
    """The answer as it came, decompressed."""


def days_between(first_day: date, last_day: date) -> Iterator[date]:
    """Every day from `first_day` to `last_day`, both included."""
    return (first_day + timedelta(days=n) for n in range((last_day - first_day).days + 1))


def parse(body: bytes, first_day: date, last_day: date) -> Answer:
    """The costs in `body` of `first_day` to `last_day` (both included); raises UnreadableAnswerError.

    Points of the days beside the range are dropped; any other that is not at 00:00:00Z raises OtherDaysError. Each
    value is rounded to its tick, then series of the same label are added up; zero amounts are left out.
    """
    try:
        _refuse_too_many_parts(body)
        fields = _fields(_load(body), _OF_ANSWER)
        days: dict[date, dict[str, Decimal]] = {day: {} for day in days_between(first_day, last_day)}
        beside = [_add_series(days, series) for series in _field(fields, "timeSeries", default=NONE)]
        if any(beside) and not any(days.values()):  # not one point of the range: its days would be read as zeros
            raise OtherDaysError
        found = {day: _without_zeros(costs) for day, costs in days.items()}
        return Answer(first_day, last_day, found, _field(fields, "limitReached", default=False), body)
    except (ValueError, DecimalException, OverflowError, RecursionError):
        raise UnreadableAnswerError from None  # the cause would print the answer


def _refuse_too_many_parts(body: bytes) -> None:
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_PARTS:
        raise ValueError("more parts than an answer can have")


def _load(body: bytes) -> object:
    return json.loads(
        body.decode("utf-8", "surrogatepass"),  # a broken label fails no reading; other broken bytes do
        parse_float=Decimal,
        parse_int=Decimal,
        parse_constant=_refuse,
        object_pairs_hook=_unambiguous,
    )


def _refuse(_: str) -> NoReturn:
    raise ValueError("NaN and infinities are not JSON")


def _unambiguous(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a duplicate field hides one of its values")
    return found


def _fields(found: object, documented: frozenset[str]) -> dict[str, object]:
    """An object with a documented field, or an empty one, for proto3 omits defaults; raises ValueError otherwise."""
    if not isinstance(found, dict) or (found and documented.isdisjoint(found)):
        raise ValueError("not the documented object")
    return found


def _value(fields: Mapping[str, object], name: str) -> object:
    """The value of the field, by either of its names; None where it is missing or null."""
    proto_name = _PROTO_NAMES.get(name, name)
    if proto_name == name or proto_name not in fields:
        return fields.get(name)
    if name in fields:
        raise ValueError("both names of a field: which of its values is valid is unknown")
    return fields[proto_name]


def _field(fields: Mapping[str, object], name: str, *, default: T) -> T:
    """The field, of the type of `default`; `default` where it is missing or null."""
    found = _value(fields, name)
    if found is None:
        return default
    if not isinstance(found, type(default)):
        raise ValueError("not the documented type")  # noqa: TRY004 - one error for any malformed answer
    return found


def _add_series(days: Mapping[date, dict[str, Decimal]], found: object) -> bool:
    """Add the amounts of a series to `days`; returns whether a point beside the range is not at midnight."""
    series = _fields(found, _OF_SERIES)
    label = _label(series)
    seen: set[datetime] = set()
    beside = False
    for found_point in _field(series, "dataPoints", default=NONE):
        point = _fields(found_point, _OF_POINT)
        instant = _instant(point.get("timestamp"))
        if instant in seen:
            raise ValueError("the same point twice: which of them is valid is unknown")
        seen.add(instant)
        costs = days.get(instant.date())
        if costs is None:
            _refuse_another_range(days, instant.date())
            beside = beside or instant.time() != MIDNIGHT
        elif instant.time() != MIDNIGHT:
            raise OtherDaysError
        else:
            costs[label] = EXACT.add(costs.get(label, ZERO), _amount(point))
    return beside


def _refuse_another_range(days: Mapping[date, object], day: date) -> None:
    """Sources disagree on whether the end is included; a day farther off belongs to another question."""
    if not {day - timedelta(days=1), day + timedelta(days=1)} & days.keys():
        raise OtherDaysError


def _label(series: Mapping[str, object]) -> str:
    """The display label, else the group's value, else NO_LABEL: no label makes a reading fail."""
    for name in ("groupLabels", "group"):
        match _value(series, name):
            case [str(text), *_] if text:
                return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)
    return NO_LABEL


def _instant(found: object) -> datetime:
    """A point's instant in UTC; the point belongs to that UTC day."""
    if not isinstance(found, str):
        raise ValueError("a point without a timestamp")  # noqa: TRY004 - one error for any malformed answer
    return _in_utc(found)


@lru_cache(maxsize=512)
def _in_utc(text: str) -> datetime:
    """Kept: all series of an answer have points of the same days."""
    instant = datetime.fromisoformat(text)
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def _amount(point: Mapping[str, object]) -> Decimal:
    """The tick that is nearest to the point's value, half to even."""
    values = _field(point, "values", default=NONE)
    if not values:
        return ZERO
    match values[0]:
        case Decimal() as amount:
            pass
        case str(text) if _NUMBER.fullmatch(text):
            amount = Decimal(text)
        case _:
            raise ValueError("not a number")
    if amount and amount.adjusted() >= MAX_INTEGER_DIGITS:
        raise ValueError("more than anybody spends")
    return amount.quantize(TICK, context=_ROUNDING)


def _without_zeros(costs: Mapping[str, Decimal]) -> dict[str, Decimal]:
    amounts = costs.values()
    for sum_or_extreme in (total(amounts), min(amounts, default=ZERO), max(amounts, default=ZERO)):
        parse_usd(sum_or_extreme)  # sums have the bounds of amounts
    return {label: usd for label, usd in costs.items() if usd}
