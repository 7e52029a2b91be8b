"""The chart of a period: each day has its place, its list and its marks, and no text of a label is markup."""

import itertools
from datetime import timedelta
from decimal import Decimal

import pytest
from console.charts import KINDS, Day, Kind, Part, folded, stacked
from console.charts.scale import HEIGHT
from console.charts.stacked import MOST_LABELS, labelled
from hypothesis import given
from hypothesis import strategies as st

from tests.console.charts.pictures import ENGLISH, FIRST, a_day, by_class, drawn

HOSTILE = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=40)


@given(st.lists(HOSTILE, min_size=1, max_size=5, unique=True), st.sampled_from(KINDS))
def test_a_label_is_never_markup(names: list[str], kind: Kind) -> None:
    hostile = ['"><script>alert(1)</script>', *names]
    day = Day(FIRST, Decimal(len(hostile)), tuple(Part(name, Decimal(1)) for name in hostile), why="<b>", covered=False)
    picture = drawn([day], kind)

    assert [one.tag for one in picture.iter() if one.tag in {"script", "b"}] == []
    assert "<script>alert(1)</script>" in "".join(picture.itertext())


@pytest.mark.parametrize("kind", KINDS)
def test_a_chart_has_a_title_a_description_and_a_link_with_a_name_for_each_day(kind: Kind) -> None:
    picture = drawn([a_day(0), a_day(1, None, covered=False), a_day(2, "0")], kind)
    days = by_class(picture, "day")

    assert [picture.findtext("title"), picture.findtext("desc")] == ["Costs", "By day"]
    assert [day.get("href") for day in days] == ["/days/2026-11-01", "/days/2026-11-02", "/days/2026-11-03"]
    assert [day.get("aria-label") for day in days] == [
        "Sun, Nov 1, 2026: $1.00",
        "Mon, Nov 2, 2026: not read",
        "Tue, Nov 3, 2026: $0.00, read, no cost",
    ]
    assert [day.get("tabindex") for day in days] == ["-1", "-1", "0"]


def test_the_list_of_a_day_has_its_total_its_models_and_why_it_was_not_read() -> None:
    parts = (Part("grok-4", Decimal(2)), Part("grok\n3", Decimal("0.001")))
    picture = drawn([Day(FIRST, Decimal("2.001"), parts, covered=False, why="Team A refused the key.")])

    assert (by_class(picture, "day")[0].findtext("title") or "").split("\n") == [
        "Sun, Nov 1, 2026\tnot read completely",
        "$2.00\tTotal",
        "$2.00\tgrok-4",
        "< $0.01\tgrok 3",
        "\tTeam A refused the key.",
    ]


def test_zero_unknown_and_provisional_are_drawn_in_three_ways() -> None:
    picture = drawn([a_day(0, "0"), a_day(1, None, covered=False), a_day(2, provisional=True), a_day(3)])
    marks = [{name for name in ("zero", "dashed") if by_class(day, name)} for day in by_class(picture, "day")]

    assert marks == [{"zero"}, set(), {"dashed"}, set()]
    assert [hatched.get("x") for hatched in by_class(picture, "hatched")] == ["31.250%"]


def test_a_restated_day_has_a_mark_that_opens_what_it_was_before() -> None:
    picture = drawn([a_day(0, restated=True, questioned=True)])

    assert [one.get("href") for one in by_class(picture, "mark")] == ["/days/2026-11-01#before"] * 2
    assert "restated" in (by_class(picture, "restated")[0].findtext("title") or "")


def test_an_area_is_broken_where_a_day_is_unknown_and_a_running_sum_is_not() -> None:
    days = [a_day(0), a_day(1, None, covered=False), a_day(2, provisional=True)]

    assert len(by_class(drawn(days, "area"), "c0")) == 2
    assert len(by_class(drawn(days, "cumulative"), "c0")) == 1
    assert len(by_class(drawn(days, "area"), "veil")) == 1


def test_a_running_sum_ends_at_the_sum_of_its_days() -> None:
    picture = drawn([a_day(place, "25") for place in range(4)], "cumulative")
    last = by_class(picture, "c0")[0].get("d", "").split()

    assert "$100" in "".join(picture.itertext())
    assert f"3.5,{0:.2f}" in last
    assert f"0.5,{HEIGHT * 0.75:.2f}" in last


@given(st.integers(1, 400), st.integers(0, 6))
def test_labels_of_days_are_few_and_equally_far_apart(count: int, shift: int) -> None:
    places = labelled([FIRST + timedelta(days=shift + place) for place in range(count)])

    assert 1 <= len(places) <= MOST_LABELS
    assert len({second - first for first, second in itertools.pairwise(places)}) <= 1
    assert all(0 <= place < count for place in places)


def test_no_day_is_no_chart() -> None:
    assert stacked([], folded([]), "bar", ENGLISH, title="", description="", link=str) == ""


def test_nothing_of_a_chart_needs_a_style_attribute_or_a_script() -> None:
    picture = drawn([a_day(place, provisional=True, restated=True) for place in range(30)])

    assert [one for one in picture.iter() if any(name == "style" or name[:2] == "on" for name in one.attrib)] == []
