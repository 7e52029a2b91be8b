"""The control API, with which tests change and inspect the simulator. It answers callers on the same machine only."""

from collections.abc import Mapping
from datetime import UTC, date, timedelta
from decimal import Decimal
from ipaddress import ip_address
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from pydantic import ValidationError

from simulator.control_bodies import ClockBody, KeyBody, LabelBody, ModelBody, RestateBody, TeamBody
from simulator.costs import plain
from simulator.edits import NewModel, Relabel
from simulator.faults import Fault
from simulator.scenarios import SCENARIOS
from simulator.state import State
from simulator.teams import HISTORY_DAYS, Key, Team


def only_from_this_machine(request: Request) -> None:
    if request.client is None or not ip_address(request.client.host).is_loopback:
        raise HTTPException(404)


def simulator(request: Request) -> State:
    state: State = request.app.state.simulator
    return state


Simulator = Annotated[State, Depends(simulator)]
TeamId = Annotated[str, Path(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


def known_team(state: Simulator, team_id: TeamId) -> Team:
    if team_id not in state.teams:
        raise HTTPException(404, "no such team")
    return state.teams[team_id]


router = APIRouter(prefix="/control", dependencies=[Depends(only_from_this_machine)])


@router.put("/teams/{team_id}", status_code=204)
async def put_team(state: Simulator, team_id: TeamId, body: TeamBody) -> None:
    """Create or replace the team: it has exactly these keys, and no edits."""
    state.keys = {key: known for key, known in state.keys.items() if known.team_id != team_id}
    for key in body.keys:
        state.keys[key.key] = Key(key.shown_name(), team_id, key.scope, key.revoked)
    state.teams[team_id] = body.team(team_id, state.seed)


@router.delete("/teams/{team_id}", status_code=204)
async def delete_team(state: Simulator, team: Annotated[Team, Depends(known_team)]) -> None:
    """Delete the team: the endpoint no longer knows it; its keys stay."""
    del state.teams[team.team_id]


@router.get("/teams/{team_id}/costs")
async def get_costs(
    state: Simulator,
    team: Annotated[Team, Depends(known_team)],
    first_day: Annotated[date | None, Query(alias="from")] = None,
    last_day: Annotated[date | None, Query(alias="to")] = None,
) -> dict[str, dict[str, dict[str, str]]]:
    """The costs as the endpoint would answer now: every day of the range (both included), without zeros."""
    now = state.now()
    last = last_day or now.date()
    first = first_day or last - timedelta(days=HISTORY_DAYS - 1)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return {"days": {str(day): _texts(team.costs_on(day, now)) for day in days}}


@router.post("/teams/{team_id}/restate", status_code=204)
async def restate(team: Annotated[Team, Depends(known_team)], body: RestateBody) -> None:
    team.edits.append(body.edit())


@router.post("/teams/{team_id}/labels", status_code=204)
async def change_label(team: Annotated[Team, Depends(known_team)], body: LabelBody) -> None:
    team.edits.append(Relabel(body.label, body.becomes, body.from_day))


@router.post("/teams/{team_id}/models", status_code=204)
async def add_model(team: Annotated[Team, Depends(known_team)], body: ModelBody) -> None:
    team.edits.append(NewModel(team.seed, team.team_id, body.label, body.from_day))


@router.post("/keys/revoke", status_code=204)
async def revoke_key(state: Simulator, body: KeyBody) -> None:
    _known_key(state, body).revoked = True


@router.post("/keys/restore", status_code=204)
async def restore_key(state: Simulator, body: KeyBody) -> None:
    _known_key(state, body).revoked = False


@router.post("/faults", status_code=204)
async def add_fault(state: Simulator, fault: Fault) -> None:
    state.faults.add(fault)


@router.post("/scenarios/{name}", status_code=204)
async def play_scenario(state: Simulator, name: str, changes: dict[str, Any]) -> None:
    """Add the fault of a scenario; fields of the body replace its own."""
    if name not in SCENARIOS:
        raise HTTPException(404, f"scenarios: {', '.join(SCENARIOS)}")
    try:
        state.faults.add(Fault.model_validate(SCENARIOS[name] | changes))
    except ValidationError:
        raise HTTPException(422, "not the fields of a fault") from None


@router.get("/faults")
async def get_faults(state: Simulator) -> dict[str, list[Fault]]:
    return {"faults": state.faults.waiting()}


@router.delete("/faults", status_code=204)
async def clear_faults(state: Simulator) -> None:
    state.faults.clear()


@router.get("/requests")
async def get_requests(state: Simulator, team_id: str | None = None) -> dict[str, list[dict[str, object]]]:
    seen = (request for request in state.requests if team_id in {None, request.team_id})
    return {"requests": [request.as_json() for request in seen]}


@router.delete("/requests", status_code=204)
async def forget_requests(state: Simulator) -> None:
    state.requests.clear()


@router.get("/clock")
async def get_clock(state: Simulator) -> dict[str, str | bool]:
    return {"now": state.now().isoformat(), "frozen": state.frozen_at is not None}


@router.put("/clock", status_code=204)
async def set_clock(state: Simulator, body: ClockBody) -> None:
    state.frozen_at = body.now and body.now.astimezone(UTC)


def _known_key(state: State, body: KeyBody) -> Key:
    if body.key not in state.keys:
        raise HTTPException(404, "no such key")
    return state.keys[body.key]


def _texts(costs: Mapping[str, Decimal]) -> dict[str, str]:
    return {label: plain(usd) for label, usd in sorted(costs.items()) if usd}
