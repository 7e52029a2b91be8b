"""The bodies of the control API."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from simulator.edits import Add, Edit, Restate, Scale
from simulator.faults import Milliseconds
from simulator.teams import Team, key_name
from simulator.usage_json import Shape


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a decimal string, because a number would lose digits")  # noqa: TRY004 - pydantic takes ValueError
    return value


Exact = Annotated[Decimal, BeforeValidator(_text), Field(max_digits=60)]
"""A decimal string; any sign."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TeamKey(_Body):
    key: str = Field(min_length=1, repr=False)
    name: str | None = None
    """Its name in `GET /control/requests`; None: the first digits of its hash."""
    scope: bool = True
    revoked: bool = False

    def shown_name(self) -> str:
        return self.name or key_name(self.key)


class TeamBody(_Body):
    """A team; the fields and their defaults are those of Team, and `seed` None is the simulator's."""

    keys: list[TeamKey] = []
    seed: int | None = None
    spends: bool = True
    late_hours: int | None = Field(default=6, ge=0)
    delay_ms: Milliseconds | None = None
    doubled_labels: frozenset[str] = frozenset({"grok-code-fast-1"})
    shapes: frozenset[Shape] = frozenset()

    def team(self, team_id: str, seed: int) -> Team:
        return Team(
            team_id=team_id,
            seed=seed if self.seed is None else self.seed,
            spends=self.spends,
            late_hours=self.late_hours,
            delay_ms=self.delay_ms,
            doubled_labels=self.doubled_labels,
            shapes=self.shapes,
        )


class RestateBody(_Body):
    """Either the costs of the day, or what is added to them, or a factor that multiplies them."""

    day: date
    costs: dict[str, Exact] | None = None
    add: dict[str, Exact] | None = None
    factor: Exact | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if [self.costs, self.add, self.factor].count(None) != 2:  # noqa: PLR2004 - one of three
            raise ValueError("either costs, add or factor")
        return self

    def edit(self) -> Edit:
        if self.costs is not None:
            return Restate(self.day, self.costs)
        if self.add is not None:
            return Add(self.day, self.add)
        return Scale(self.day, self.factor or Decimal(0))


class LabelBody(_Body):
    label: str
    becomes: str | None = None
    """None: the label is removed with its amounts."""
    from_day: date | None = None
    """None: on all days."""


class ModelBody(_Body):
    label: str
    from_day: date


class KeyBody(_Body):
    key: str = Field(repr=False)


class ClockBody(_Body):
    now: AwareDatetime | None
    """None: the current time."""
