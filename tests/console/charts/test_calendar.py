"""The calendar: a square a day, in weeks from Monday to Sunday."""

from console.charts import Day, calendar
from console.charts.calendar import CELL

from tests.console.charts.pictures import ENGLISH, a_day, by_class, tree


def drawn(days: list[Day]) -> list[tuple[str, str]]:
    """Class and name of each square."""
    picture = tree(calendar(days, ENGLISH, title="Days", description="Read", link=lambda day: f"/days/{day}"))
    cells = by_class(picture, "cell")
    return [(cell[1].get("class", ""), cell.get("aria-label", "")) for cell in cells]


def test_each_state_of_a_day_is_seen() -> None:
    days = [
        a_day(0, "100"),
        a_day(1, "0"),
        a_day(2, None, covered=False, why="xAI refused the key."),
        a_day(3, "1", provisional=True),
        a_day(4, "60"),
    ]

    assert drawn(days) == [
        ("level4", "Sun, Nov 1, 2026: $100.00"),
        ("level0", "Mon, Nov 2, 2026: $0.00, read, no cost"),
        ("hatched", "Tue, Nov 3, 2026: not read, xAI refused the key."),
        ("level1 dashed", "Wed, Nov 4, 2026: $1.00, provisional"),
        ("level3", "Thu, Nov 5, 2026: $60.00"),
    ]


def test_weeks_are_columns_and_a_restated_day_has_a_corner() -> None:
    days = [a_day(place, restated=place == 1) for place in range(90)]
    picture = tree(calendar(days, ENGLISH, title="Days", description="Read", link=str))
    squares = [cell.find("rect") for cell in by_class(picture, "cell")]
    places = {(square.get("x"), square.get("y")) for square in squares if square is not None}

    assert len(places) == 90
    assert float(picture.get("width", "0")) <= 320
    assert int(picture.get("height", "0")) < 8 * CELL + CELL
    assert len(by_class(picture, "restated")) == 1


def test_credits_and_days_without_a_cost_have_no_shade() -> None:
    assert [name for name, _ in drawn([a_day(0, "-5"), a_day(1, "0")])] == ["level0", "level0"]
    assert calendar([], ENGLISH, title="", description="", link=str) == ""
