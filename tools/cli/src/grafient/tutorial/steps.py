"""The six steps of the tutorial: calls as data, which the command runs and docs/tutorial.md shows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template
from textwrap import fill
from types import EllipsisType

from simulator.teams import DEMO_KEY, DEMO_TEAM, NO_SCOPE_KEY

VARIES = ...
"""A value that is another one each time."""
INTEGRATIONS = "$CONNECTOR_URL/v1/accounts/tutorial/integrations"
COSTS = "$LEDGER_URL/v1/accounts/tutorial"
WRONG = {"team_id": DEMO_TEAM, "management_key": NO_SCOPE_KEY}
RIGHT = {"team_id": DEMO_TEAM, "management_key": DEMO_KEY, "label": "My first team"}
LATE = {"day": "$DAY", "add": {"Chat grok-4-0709": "5"}}


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call; names behind a `$` are variables, in the URL and in the body."""

    method: str
    url: str
    status: int
    shows: Mapping[str, str | bool | list[str] | EllipsisType] = field(default_factory=dict)
    """What the answer contains by path (`days.0.usd`). A GET is repeated until it does."""
    body: Mapping[str, object] | None = None
    keeps: Mapping[str, str] = field(default_factory=dict)
    """Field of the answer by the variable that is set to it."""

    @property
    def is_ours(self) -> bool:
        """Answered by a service, not by the simulator, which needs no token."""
        return not self.url.startswith("$XAI_URL")

    def curl(self) -> str:
        """The call as a command for a shell."""
        method = "" if self.method == "GET" else f"-X {self.method} "
        lines = [f'curl {method}"{self.url}"']
        if self.is_ours:
            lines.append('-H "Authorization: Bearer $TOKEN"')
        if self.body is not None:
            lines += ["-H 'content-type: application/json'", f"-d {_quoted(json.dumps(self.body))}"]
        return " \\\n  ".join(lines)

    def filled_in(self, variables: Mapping[str, str]) -> tuple[str, str | None]:
        """URL and body for these values."""
        body = None if self.body is None else json.dumps(self.body)
        return Template(self.url).substitute(variables), body and Template(body).substitute(variables)


@dataclass(frozen=True, slots=True)
class Step:
    title: str
    calls: tuple[Call, ...]
    sees: str
    """In words, what one should see."""


STEPS = (
    Step(
        "Connect a team with a wrong key",
        (
            Call("POST", INTEGRATIONS, 422, {"code": "access_denied"}, WRONG),
            Call("GET", INTEGRATIONS, 200, {"integrations": []}),
        ),
        "The key is tried with xAI before anything is stored. xAI refuses it, and no team is connected.",
    ),
    Step(
        "Read the cause",
        (
            Call(
                "POST",
                f"{INTEGRATIONS}/test",
                200,
                {"ok": False, "title": "The key may not read this team's costs", "detail": VARIES},
                WRONG,
            ),
        ),
        "The cause in one line, and in `detail` the next step. Both are written for your customer: show them as they are.",
    ),
    Step(
        "Connect it",
        (
            Call(
                "POST",
                INTEGRATIONS,
                201,
                {"integration_id": VARIES, "status": "backfilling"},
                RIGHT,
                {"ID": "integration_id"},
            ),
        ),
        "The team is connected, its key is sealed, and the history is being read.",
    ),
    Step(
        "See its costs",
        (
            Call(
                "GET",
                f"{COSTS}/summary?period=30d",
                200,
                {"missing_days": [], "usd": VARIES, "top_model.model": VARIES, "provisional_from": VARIES},
            ),
        ),
        "30 days are there about a second later: `missing_days` is empty, and the days from `provisional_from` on may "
        "still change. Amounts are text, exact to the digit.",
    ),
    Step(
        "Restate a day",
        (
            Call("POST", f"$XAI_URL/control/teams/{DEMO_TEAM}/restate", 204, {}, LATE),
            Call("GET", f"{COSTS}/costs?from=$DAY&to=$DAY", 200, {"days.0.restated": False, "days.0.usd": VARIES}),
        ),
        "From now on xAI, which the simulator plays here, reports 5 USD more for a day that was over: data arrives late. "
        "What was read before is still shown.",
    ),
    Step(
        "Force a sync",
        (
            Call("POST", f"{INTEGRATIONS}/$ID/sync", 202, {"request_id": VARIES}, {"trigger": "force"}),
            Call("GET", f"{INTEGRATIONS}/$ID/syncs", 200, {"syncs.0.trigger": "force", "syncs.0.reconciled": True}),
            Call(
                "GET",
                f"{COSTS}/days/$DAY",
                200,
                {"usd": VARIES, "integrations.0.reading.trigger": "force", "integrations.0.former.0.usd": VARIES},
            ),
        ),
        "A moment later the sync is the first line of the history. The day costs 5 USD more, and `former` has what it was "
        "before, with the reading that it came from.",
    ),
)


def as_markdown(number: int, step: Step) -> str:
    """A section of docs/tutorial.md."""
    parts = [f"## {number}. {step.title}"]
    for call in step.calls:
        shown = [f"- `{path}`: {_text(value)}" for path, value in call.shows.items()]
        parts += [f"```sh\n{call.curl()}\n```", f"Status {call.status}{', with:' if shown else '.'}"]
        parts += ["\n".join(shown)] if shown else []
        parts += [f"Keep `{path}` for later: `{name}=…`." for name, path in call.keeps.items()]
    return "\n\n".join([*parts, fill(step.sees, 120)])


def _text(value: object) -> str:
    return "*varies*" if value is VARIES else f"`{json.dumps(value)}`"


def _quoted(text: str) -> str:
    """For a shell; only within double quotes it fills in variables."""
    if "$" not in text:
        return f"'{text}'"
    return '"' + text.replace('"', '\\"') + '"'
