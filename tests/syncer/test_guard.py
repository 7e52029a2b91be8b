"""A reading that takes money away is questioned day by day, and believed once the provider repeats it for a while."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from contract.messages import Cost
from contract.money import parse_usd
from syncer import guard
from syncer.guard import TICKS_PER_USD, Amounts, Kind, Question, amounts_of, ask_again_at, doubt, is_same, judge

NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)
TODAY = NOW.date()
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def usd(**models: float) -> Amounts:
    """US dollars by model; Python turns names into texts."""
    return {model: round(amount * TICKS_PER_USD) for model, amount in models.items() if amount}


def days_ago(number: int) -> date:
    return TODAY - timedelta(days=number)


def week(**models: float) -> dict[date, Amounts]:
    """The same on each of the 8 days before today."""
    return {days_ago(number): usd(**models) for number in range(1, 9)}


YESTERDAY = days_ago(1)
KNOWN = week(a=0.8)


def after(
    pause: timedelta, reading: Mapping[date, Amounts], questions: Mapping[date, Question]
) -> dict[date, Question]:
    return judge(reading, KNOWN, questions, NOW + pause)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({}, Kind.LESS),
        ({"a": 0.3, "b": 0.08}, Kind.LESS),
        ({"a": -1.0}, Kind.LESS),
        ({"b": 1.0}, Kind.MODEL_GONE),
        ({"a": 0.4}, None),
        ({"a": 0.0001, "b": 0.7}, None),
        ({"a": 90}, None),
    ],
)
def test_a_day_is_questioned_that_lost_over_half_of_its_cost_or_a_model(
    answer: dict[str, float], kind: Kind | None
) -> None:
    assert doubt(usd(**answer), usd(a=0.8), ()) is kind


@pytest.mark.parametrize("known", [{}, {"a": 0.01}, {"a": -5}])
def test_a_day_that_cost_nearly_nothing_is_not_missed(known: dict[str, float]) -> None:
    assert doubt({}, usd(**known), ()) is None


def test_a_label_that_is_renamed_is_no_loss() -> None:
    before, after_ = (
        amounts_of([Cost(label=f"{product} grok-4-0709", product=product, model="grok-4-0709", usd=parse_usd("2.5"))])
        for product in ("Chat", "API")
    )

    assert doubt(after_, before, ()) is None


def test_labels_of_one_model_are_summed_and_zeros_are_left_out() -> None:
    costs = [
        Cost(label=label, model=model, usd=parse_usd(amount))
        for label, model, amount in [
            ("API m-1", "m-1", "1"),
            ("Chat m-1", "m-1", "2"),
            ("x", "x", "3"),
            ("y", "x", "-3"),
        ]
    ]

    assert amounts_of(costs) == usd(**{"m-1": 3})


def test_amounts_of_older_precision_are_rounded_to_the_tick() -> None:
    assert amounts_of([Cost(label="a", model="a", usd=parse_usd("0.00000000016"))]) == {"a": 2}
    assert amounts_of([Cost(label="a", model="a", usd=parse_usd("0." + "0" * 39 + "1"))]) == {}


@pytest.mark.parametrize(
    ("answer", "known", "dearest", "others", "kind"),
    [
        (101, 0.8, 1, 7, Kind.ABSURD),
        (99, 0.8, 0.5, 7, None),
        (101, 0.8, 2, 7, None),
        (101, 0.8, 1, 6, None),
        (600, 500, 1, 7, None),  # it was that expensive before
        (-0.6, 0, 1, 7, Kind.ABSURD),
        (-0.4, 0, 1, 7, None),
        (-0.61, -0.6, 1, 7, None),
        (-0.6, 0, 1, 6, None),
    ],
)
def test_an_amount_is_absurd_by_the_measure_of_the_other_days(
    answer: float, known: float, dearest: float, others: int, kind: Kind | None
) -> None:
    ticks = [round(dearest * TICKS_PER_USD)] * others

    assert doubt(usd(a=answer), usd(a=known), ticks) is kind


def test_a_change_of_unit_makes_every_day_absurd() -> None:
    assert set(judge(week(a=800), KNOWN, {}, NOW)) == KNOWN.keys()


def test_today_and_unknown_days_are_never_questioned() -> None:
    known = {**KNOWN, TODAY: usd(a=5)}

    assert judge({TODAY: {}, days_ago(9): {}}, known, {}, NOW) == {}


def test_an_empty_answer_questions_every_day_and_a_repeated_one_is_believed_after_six_hours() -> None:
    empty: dict[date, Amounts] = {day: {} for day in KNOWN}
    questions = after(0 * HOUR, empty, {})
    assert set(questions) == KNOWN.keys()
    questions = after(15 * MINUTE, empty, questions)
    assert set(questions) == KNOWN.keys()

    assert after(6 * HOUR, empty, questions) == {}


def test_a_single_day_that_falls_is_believed_after_a_quarter_of_an_hour_also_when_read_alone() -> None:
    fallen = {**KNOWN, YESTERDAY: usd(a=0.1)}
    questions = after(0 * MINUTE, fallen, {})
    assert set(questions) == {YESTERDAY}
    assert set(after(14 * MINUTE, fallen, questions)) == {YESTERDAY}

    assert after(15 * MINUTE, {YESTERDAY: usd(a=0.1)}, questions) == {}


def test_a_day_that_recovers_is_believed_at_once() -> None:
    questions = after(0 * MINUTE, {YESTERDAY: {}}, {})

    assert after(1 * MINUTE, {YESTERDAY: usd(a=0.7)}, questions) == {}


def test_another_answer_starts_the_wait_again_but_for_a_day_at_most() -> None:
    questions: dict[date, Question] = {}
    for hours in range(24):
        questions = after(hours * HOUR, {**KNOWN, YESTERDAY: usd(a=0.001 * hours)}, questions)
        assert questions[YESTERDAY].asked_at == NOW

    assert after(24 * HOUR, {**KNOWN, YESTERDAY: usd(a=0.3)}, questions) == {}


def test_a_day_of_long_ago_falls_only_if_an_operator_accepts_it() -> None:
    old = days_ago(37)
    known = {old: usd(a=2)}
    questions = judge({old: {}}, known, {}, NOW)
    later = judge({old: {}}, known, questions, NOW + timedelta(days=10))
    assert set(later) == {old}

    accepted = {old: replace(later[old], accepted=True)}

    assert set(judge({old: usd(a=0.5)}, known, accepted, NOW + timedelta(days=11))) == {old}  # it was not this answer
    assert judge({old: {}}, known, accepted, NOW + timedelta(days=11)) == {}


def test_an_absurd_day_of_long_ago_is_believed_as_any_other() -> None:
    old = days_ago(37)
    known = {**KNOWN, old: usd(a=1)}
    questions = judge({old: usd(a=1000)}, known, {}, NOW)
    assert questions[old].kind is Kind.ABSURD

    assert judge({old: usd(a=1000)}, known, questions, NOW + HOUR) == {}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(99.0, 99.0, True), (99.0, 99.0000000001, False), (123456.0, 123456.00000001, True), (123456.0, 123456.1, False)],
)
def test_two_answers_are_the_same_but_for_the_noise_of_long_sums(one: float, other: float, *, same: bool) -> None:
    assert is_same(usd(a=one), usd(a=other)) is same


def test_a_question_is_asked_again_after_15_minutes_an_hour_and_then_every_six_hours() -> None:
    at, pauses = NOW, []
    for _ in range(7):
        at = ask_again_at(NOW, at)
        pauses.append((at - NOW) / HOUR)

    assert pauses == [0.25, 1, 6, 12, 18, 24, 30]
    assert ask_again_at(NOW, NOW + 23 * HOUR) - NOW == guard.LONGEST
