"""For any sequence of answers: a hiccup never shows, a true fall does, and no question stays open."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from syncer.guard import BELIEVED_AFTER, LONGEST, amounts_of, is_same, waits_for_operator

from tests.syncer.support.team import DAYS, LIES, START, Costs, GuardedTeam, Lie, gap, less_than_half

MINUTE = timedelta(minutes=1)
USD = st.decimals("0.05", "80", places=10)
COSTS = st.dictionaries(st.sampled_from(["grok-4", "grok-4-fast", "grok-code"]), USD, min_size=1)
FIRST_COSTS = st.fixed_dictionaries(dict.fromkeys(DAYS, COSTS))
RESTATED: st.SearchStrategy[Costs] = st.one_of(COSTS, st.just({}), st.just({"grok-new": Decimal("0.02")}))

Step = Callable[[GuardedTeam], None]


def _restate(day: date, costs: Costs) -> Step:
    return lambda team: team.restate(day, costs)


def _wait(minutes: int, renamed: bool) -> Step:  # noqa: FBT001 - as it is drawn
    def step(team: GuardedTeam) -> None:
        team.renamed = renamed
        team.wait(minutes * MINUTE)
        team.read()

    return step


def _hiccup(lie: Lie, minutes: int, days: set[date]) -> Step:
    """Shorter than the guard; and the provider is right before and after it."""

    def step(team: GuardedTeam) -> None:
        team.read()
        team.lie, team.lies_about = lie, days
        team.read()
        team.wait(minutes * MINUTE)
        team.read()
        team.lie = None
        team.read()

    return step


DAY = st.sampled_from(DAYS)
STEP = st.one_of(
    st.builds(_restate, DAY, RESTATED),
    st.builds(_wait, st.integers(1, 2000), st.booleans()),
    st.builds(_hiccup, st.sampled_from(LIES), st.integers(0, 14), st.sets(DAY, min_size=1)),
)
STEPS = st.lists(STEP, max_size=5)
"""So few that there are always enough days with cost to find an absurd one."""


def _shows(team: GuardedTeam, day: date) -> bool:
    return is_same(team.shown[day], amounts_of(team._cost(*one) for one in team.costs[day].items()))  # noqa: SLF001


@settings(max_examples=40, deadline=None, phases=[Phase.generate])
@given(FIRST_COSTS, STEPS)
def test_what_is_shown_in_the_end_is_what_the_provider_reports_for_good(
    first: dict[date, Costs], steps: list[Step]
) -> None:
    team = GuardedTeam(dict(first))
    team.read()
    for step in steps:
        step(team)

    team.read()
    team.wait(LONGEST + BELIEVED_AFTER)

    for day in DAYS:
        question = team.questions.get(day)
        assert _shows(team, day) if question is None else waits_for_operator(question.kind, day, team.at)
        assert team.revisions.get(day, 0) <= team.restatements.get(day, 0)


@settings(max_examples=15, deadline=None)
@given(
    FIRST_COSTS, st.sampled_from([gap, less_than_half]), st.integers(1, 350), st.lists(st.integers(1, 100), max_size=5)
)
def test_data_that_has_not_landed_for_hours_never_shows(
    first: dict[date, Costs], lie: Lie, minutes: int, forced: list[int]
) -> None:
    team = GuardedTeam(dict(first))
    team.read()
    before = dict(team.shown)
    team.lie = lie
    team.read()
    for pause in forced:
        team.wait(min(pause, minutes) * MINUTE // 5)  # a person asks again and again
        team.read()
    team.wait(START + minutes * MINUTE - team.at)

    assert team.shown == before
    team.lie = None
    team.wait(LONGEST)
    assert (team.shown, team.questions) == (before, {})


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-600, 600), max_size=8))
def test_the_noise_of_long_sums_and_other_labels_of_a_model_change_nothing(noises: list[int]) -> None:
    costs = {"grok-large": Decimal("123456.0123456789"), "grok-4": Decimal("0.5")}
    team = GuardedTeam({day: costs for day in DAYS})  # noqa: C420 - nothing changes them
    team.read()
    for noise in noises:
        team.noise, team.renamed = noise, noise > 0
        team.wait(MINUTE)
        team.read()

    assert (team.revisions, team.questions) == ({}, {})


@settings(max_examples=10, deadline=None)
@given(FIRST_COSTS, st.lists(st.integers(1, 400), max_size=6))
def test_no_question_is_open_for_more_than_a_day_even_if_every_answer_differs(
    first: dict[date, Costs], pauses: list[int]
) -> None:
    team = GuardedTeam(dict(first))
    team.read()
    team.lie = lambda _day, costs: {model: usd * len(team.answers[DAYS[0]]) / 10_000 for model, usd in costs.items()}
    team.read()
    for pause in pauses:
        team.wait(pause * MINUTE)
        team.read()

    team.wait(START + LONGEST + MINUTE - team.at)

    assert all(waits_for_operator(one.kind, day, team.at) for day, one in team.questions.items())
