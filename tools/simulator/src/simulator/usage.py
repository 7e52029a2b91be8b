"""The endpoint that is simulated: POST /v1/billing/teams/{team_id}/usage."""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import reduce
from itertools import pairwise

from fastapi import APIRouter, Request

from simulator.access import admit, bearer
from simulator.costs import EXACT, ZERO, add, part
from simulator.delivery import Delivery
from simulator.faults import Fault
from simulator.query import UsageQuery, read_query
from simulator.refusals import RefusalError
from simulator.response import Response, compressed, faulty, json_response
from simulator.state import SeenRequest, State
from simulator.teams import Team, key_name
from simulator.usage_json import Point, Series, Shape, write

router = APIRouter()

HOURS = 24


@router.post("/v1/billing/teams/{team_id}/usage")
async def usage(team_id: str, request: Request) -> Delivery:
    state: State = request.app.state.simulator
    team_id = team_id.lower()
    key = bearer(request.headers.get("authorization", ""))
    query, fault, response = _respond(state, team_id, key, await request.body())
    response = compressed(faulty(response, fault), request.headers.get("accept-encoding", ""))
    _remember(state, team_id, key, query, None if fault.hang or fault.reset else response.status)
    return Delivery(response.status, response.headers, response.body, fault, _delay_ms(state, team_id, fault))


def response(team: Team, query: UsageQuery, fault: Fault, now: datetime) -> bytes:
    """The body of the endpoint's response at `now`."""
    shapes = team.shapes | fault.extra
    bounds = _bounds(query, end_included=Shape.END_INCLUDED in shapes)
    costs = [_costs_within(team, start, end, now) for start, end in pairwise(bounds)]
    all_series = list(_per_label(team, bounds, costs) if query.grouped else _ungrouped(bounds, costs))
    shown = all_series[: len(all_series) // 2 if fault.is_cut else fault.only_series]
    stamped = [Series(one.group, tuple(_stamped(one.points, shapes, fault.shift_hours))) for one in shown]
    return write(stamped, shapes, limit_reached=fault.is_cut)


def _respond(state: State, team_id: str, key: str, body: bytes) -> tuple[UsageQuery | None, Fault, Response]:
    today = state.now().date()
    try:
        team = admit(state, team_id, key)
        query = read_query(body)
    except RefusalError as refusal:
        return None, state.faults.take(team_id, None, today), json_response(refusal.status, refusal.body)
    fault = state.faults.take(team_id, query, today)
    return query, fault, json_response(200, response(team, query, fault, state.now()))


def _remember(state: State, team_id: str, key: str, query: UsageQuery | None, status: int | None) -> None:
    known = state.keys.get(key)
    state.requests.append(
        SeenRequest(
            at=state.now(),
            team_id=team_id,
            key=known.name if known else key_name(key),
            first_day=query.first_day if query else None,
            last_day=query.last_day if query else None,
            grouped=query.grouped if query else None,
            status=status,
        )
    )


def _delay_ms(state: State, team_id: str, fault: Fault) -> int:
    if fault.delay_ms is not None:
        return fault.delay_ms
    team = state.teams.get(team_id)
    return state.delay_ms if team is None or team.delay_ms is None else team.delay_ms


def _bounds(query: UsageQuery, *, end_included: bool) -> Sequence[datetime]:
    return (*query.bounds, query.bounds[-1] + timedelta(days=1)) if end_included else query.bounds


def _costs_within(team: Team, start: datetime, end: datetime, now: datetime) -> dict[str, Decimal]:
    """Sum per label from `start` to before `end`: each UTC day's costs arise at its noon, in any time zone."""
    found: dict[str, Decimal] = {}
    for day in _days_by_noon(start, end):
        for label, usd in team.costs_on(day, now).items():
            found[label] = add(found.get(label, ZERO), usd)
    return found


def _days_by_noon(start: datetime, end: datetime) -> Iterator[date]:
    for n in range((end.date() - start.date()).days + 1):
        noon = datetime.combine(start.date() + timedelta(days=n), time(12), UTC)
        if start <= noon < end:
            yield noon.date()


def _per_label(team: Team, bounds: Sequence[datetime], costs: Sequence[dict[str, Decimal]]) -> Iterator[Series]:
    for label in sorted({label for found in costs for label in found}):
        amounts = [found.get(label, ZERO) for found in costs]
        if label in team.doubled_labels:
            halves = [part(usd, 1, 2) for usd in amounts]
            yield _series((label,), bounds, halves)
            amounts = [EXACT.subtract(usd, half) for usd, half in zip(amounts, halves, strict=True)]
        yield _series((label,), bounds, amounts)


def _ungrouped(bounds: Sequence[datetime], costs: Sequence[dict[str, Decimal]]) -> Iterator[Series]:
    if any(costs):
        yield _series((), bounds, [reduce(add, found.values(), ZERO) for found in costs])


def _stamped(points: Iterable[Point], shapes: AbstractSet[Shape], shift_hours: int) -> Iterator[Point]:
    parts = HOURS if Shape.HOURLY in shapes else 1
    for at, usd in points:
        each = part(usd, 1, parts)
        last = EXACT.subtract(usd, EXACT.multiply(each, Decimal(parts - 1)))
        for n in range(parts):
            yield at + timedelta(hours=shift_hours + n), last if n == parts - 1 else each


def _series(group: tuple[str, ...], bounds: Sequence[datetime], amounts: Sequence[Decimal]) -> Series:
    return Series(group, tuple(zip(bounds[:-1], amounts, strict=True)))
