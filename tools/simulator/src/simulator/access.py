"""Access: every refusal of a key or a Team ID."""

import re

from simulator.refusals import RefusalError
from simulator.state import State
from simulator.teams import Team

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def bearer(authorization: str) -> str:
    """The key of an Authorization header, or an empty string."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def admit(state: State, team_id: str, key: str) -> Team:
    """The team (its ID in lower case) that the key may read; raises RefusalError: 401, 400, 404 or 403, in this body."""
    known = state.keys.get(key)
    if known is None or known.revoked:
        raise RefusalError(401, "Invalid or revoked management API key")
    if not _UUID.fullmatch(team_id):
        raise RefusalError(400, "team_id is not a UUID")
    team = state.teams.get(team_id)
    if team is None:
        raise RefusalError(404, "No such team")
    if known.team_id != team.team_id:
        raise RefusalError(403, "The key belongs to another team")
    if not known.scope:
        raise RefusalError(403, "The key lacks the scope Billing: Read")
    return team
