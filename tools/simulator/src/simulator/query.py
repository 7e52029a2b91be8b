"""Reads a request and checks it strictly: what the reference does not describe is refused."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from simulator.refusals import RefusalError

LONGEST = timedelta(days=366)

Moment = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$")]


@dataclass(frozen=True, slots=True)
class UsageQuery:
    bounds: tuple[datetime, ...]
    """The beginnings of the requested intervals, UTC, and the end of the range, which is not included."""
    grouped: bool

    @property
    def first_day(self) -> date:
        return self.bounds[0].date()

    @property
    def last_day(self) -> date:
        """Included."""
        return (self.bounds[-1] - timedelta(microseconds=1)).date()

    @property
    def days(self) -> int:
        return (self.last_day - self.first_day).days + 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)


class _TimeRange(_Strict):
    start_time: Moment
    end_time: Moment
    timezone: str


class _Value(_Strict):
    name: Literal["usd"]
    aggregation: Literal["AGGREGATION_SUM"]


class _AnalyticsRequest(_Strict):
    time_range: _TimeRange
    time_unit: Literal["TIME_UNIT_DAY"]
    values: list[_Value] = Field(min_length=1, max_length=1)
    group_by: list[Literal["description"]] = Field(default=[], max_length=1)
    filters: list[str] = Field(default=[], max_length=0)


class _Body(_Strict):
    analytics_request: _AnalyticsRequest


def read_query(body: bytes) -> UsageQuery:
    """Read the request's body; raises RefusalError (400) with the reason."""
    try:
        request = _Body.model_validate_json(body).analytics_request
        return UsageQuery(_bounds(request.time_range), bool(request.group_by))
    except ValidationError as error:
        raise RefusalError(400, _sentence(error)) from None
    except (ValueError, LookupError, OSError, OverflowError) as error:  # no such date, or no such time zone
        raise RefusalError(400, f"timeRange: {error}") from None


def _sentence(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)


def _bounds(time_range: _TimeRange) -> tuple[datetime, ...]:
    zone = ZoneInfo(time_range.timezone)
    start, end = (datetime.fromisoformat(at) for at in (time_range.start_time, time_range.end_time))
    if not timedelta() < end - start <= LONGEST:
        raise ValueError(f"endTime must be after startTime, by {LONGEST.days} days at most")
    local = [start, *_midnights(start, end), end]
    return tuple(moment.replace(tzinfo=zone).astimezone(UTC) for moment in local)


def _midnights(start: datetime, end: datetime) -> Iterator[datetime]:
    """Days begin at midnight of the requested time zone; the first may begin later, the last may end earlier."""
    for n in range(1, (end.date() - start.date()).days + 1):
        midnight = datetime.combine(start.date() + timedelta(days=n), time())
        if midnight < end:
            yield midnight
