"""The days of a chart are the ledger's, with the marks that they carry and the reasons of what is missing."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from console.days import Gap, drawn, gaps
from console.schemas import Card, Costs, DailyBreakdown

from tests.console.support.answers import INTEGRATION, LAST, a_card, a_day, breakdown

CARD = Card.model_validate(a_card())
MISSING = {"covered": False, "usd": None, "missing": [INTEGRATION]}
WHY = "Not read: Research (Active)."


def costs(*days: dict[str, Any]) -> Costs:
    return Costs.model_validate({"integrations": 1, "days": days})


def ago(days: int) -> date:
    return LAST - timedelta(days=days)


def test_a_day_has_its_models_without_those_that_cost_nothing() -> None:
    by_model = DailyBreakdown.model_validate(breakdown(**{"grok-4": ["1", "0", "2"], "grok-3": ["0", "0", "0.5"]}))
    days = drawn(costs(a_day(2), a_day(1), a_day(0)), by_model, [CARD])
    assert [[(part.name, str(part.usd)) for part in day.parts] for day in days] == [
        [("grok-4", "1")],
        [],
        [("grok-4", "2"), ("grok-3", "0.5")],
    ]


def test_a_day_outside_of_the_breakdown_has_no_models() -> None:
    """At midnight one answer may be a day ahead of the other."""
    by_model = DailyBreakdown.model_validate(breakdown())
    assert [day.parts for day in drawn(costs(a_day(3), a_day(-1)), by_model, [CARD])] == [(), ()]


def test_marks_are_those_of_the_answers() -> None:
    by_model = DailyBreakdown.model_validate(breakdown())
    card = Card.model_validate(a_card(questioned_days=[str(ago(1))]))
    shown = drawn(costs(a_day(2, restated=True), a_day(1), a_day(0, provisional=True)), by_model, [card])
    assert [(day.restated, day.questioned, day.provisional) for day in shown] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_a_day_that_was_not_read_names_the_team_that_lacks_it() -> None:
    by_model = DailyBreakdown.model_validate(breakdown())
    (day,) = drawn(costs(a_day(1, **MISSING)), by_model, [CARD])
    assert (day.covered, day.why) == (False, WHY)


def test_days_in_a_row_are_one_gap_and_the_last_comes_first() -> None:
    days = costs(a_day(4, **MISSING), a_day(3), a_day(2, **MISSING), a_day(1, **MISSING), a_day(0))
    assert gaps(days, [CARD], LAST) == [
        Gap(ago(2), ago(1), WHY, can_be_read=True),
        Gap(ago(4), ago(4), WHY, can_be_read=True),
    ]


def test_what_xai_has_no_figures_of_any_more_cannot_be_read() -> None:
    (gap,) = gaps(costs(a_day(0, **MISSING)), [CARD], LAST + timedelta(days=90))
    assert not gap.can_be_read


def test_a_day_without_a_team_is_no_gap() -> None:
    before = costs(a_day(1, covered=False, usd=None))
    assert gaps(before, [CARD], LAST) == []


def test_of_many_teams_one_is_named() -> None:
    cards = [Card.model_validate(a_card(integration_id=str(UUID(int=number)))) for number in range(5)]
    lacking = a_day(1, **MISSING | {"missing": [str(card.integration_id) for card in cards]})
    (gap,) = gaps(costs(lacking), cards, LAST)
    assert gap.why == "5 teams have not been read, Research (Active) among them."
