import contextlib
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xai_usage import NO_LABEL, UnreadableAnswerError, parse

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 3)
GROK = "Chat grok-4-0709"


def point(day: object, *values: str) -> str:
    return f'{{"timestamp": "{day}T00:00:00Z", "values": [{",".join(values)}]}}'


def series(*points: str, labels: str = f'"groupLabels": ["{GROK}"]') -> str:
    return f'{{{labels}, "dataPoints": [{",".join(points)}]}}'


def answer(*all_series: str, rest: str = "") -> bytes:
    return f'{{"timeSeries": [{",".join(all_series)}]{rest}}}'.encode()


def costs(body: bytes) -> dict[date, dict[str, Decimal]]:
    return {day: dict(found) for day, found in parse(body, FIRST, LAST).days.items()}


def cost_of_first_day(body: bytes) -> dict[str, Decimal]:
    return costs(body)[FIRST]


def refused(body: bytes) -> bool:
    with pytest.raises(UnreadableAnswerError) as caught:
        parse(body, FIRST, LAST)
    return caught.value.__cause__ is None and caught.value.__suppress_context__


def test_the_documented_answer_is_read() -> None:
    body = b"""{"timeSeries": [
      {"group": ["Chat grok-4-0709"], "groupLabels": ["Chat grok-4-0709"],
       "dataPoints": [{"timestamp": "2026-11-01T00:00:00Z", "values": [1.2345678]},
                      {"timestamp": "2026-11-02T00:00:00Z", "values": [0]}]}],
     "limitReached": false}"""
    read = parse(body, FIRST, LAST)
    assert read.days == {FIRST: {GROK: Decimal("1.2345678")}, date(2026, 11, 2): {}, LAST: {}}
    assert (read.first_day, read.last_day, read.limit_reached, read.body) == (FIRST, LAST, False, body)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"timeSeries": []}',
        '{"timeSeries": null}',
        '{"limitReached": false}',
        '{"limitReached": null}',
        '{"timeSeries": [{}]}',
        '{"timeSeries": [{"groupLabels": ["Chat grok-4"]}]}',
        '{"timeSeries": [{"groupLabels": ["Chat grok-4"], "dataPoints": null}]}',
        '{"timeSeries": [], "somethingNew": 1}',
    ],
)
def test_a_team_that_spent_nothing_has_every_day_and_each_is_empty(body: str) -> None:
    assert costs(body.encode()) == {FIRST: {}, date(2026, 11, 2): {}, LAST: {}}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html><body>502</body></html>",
        '{"code": 16, "message": "no", "details": []}',
        '{"error": "no"}',
        "[]",
        "null",
        '"text"',
        '{"timeSeries": {}}',
        '{"timeSeries": "none"}',
        '{"timeSeries": [null]}',
        '{"timeSeries": [[]]}',
        '{"timeSeries": [{"points": []}]}',
        '{"limitReached": "true"}',
        '{"limitReached": 1}',
        '{"timeSeries": [], "timeSeries": []}',
        '{"timeSeries": [{"dataPoints": [{"at": 1}]}]}',
        '{"timeSeries": [{"dataPoints": [{"values": [1]}]}]}',
        '{"timeSeries": [{"dataPoints": [{"timestamp": 1793491200, "values": [1]}]}]}',
        '{"timeSeries": [{"dataPoints": [{"timestamp": "yesterday", "values": [1]}]}]}',
        '{"timeSeries": [{"dataPoints": [{"timestamp": "0001-01-01T00:00:00+23:59", "values": [1]}]}]}',
    ],
)
def test_what_is_not_the_documented_answer_is_unreadable(body: str) -> None:
    assert refused(body.encode())


def test_an_answer_cut_off_anywhere_is_unreadable() -> None:
    whole = answer(series(point(FIRST, "1.5")), rest=', "limitReached": true')
    assert all(refused(whole[:length]) for length in range(len(whole)))


@pytest.mark.parametrize(
    "amount",
    [
        *("NaN", "Infinity", "-Infinity", "1e400", "1e99999999999999999999", "1e-41", "1" * 16, "1" * 5000),
        *("true", "null", "{}", "[1]", "01", "1.", ".5"),
        *('"NaN"', '"Infinity"', '""', '" 1"', '"1_0"', '"1,5"', '"0x1"', '"\\u0661"'),
    ],
)
def test_an_amount_that_is_no_exact_figure_makes_the_answer_unreadable(amount: str) -> None:
    assert refused(answer(series(point(FIRST, amount))))


def test_sums_beyond_the_bounds_of_an_amount_make_the_answer_unreadable() -> None:
    large = series(point(FIRST, "9" * 15))
    assert refused(answer(large, large))
    assert refused(answer(large, series(point(FIRST, "9" * 15), labels='"group": ["another"]')))


@pytest.mark.parametrize("bomb", [b"[" * 200_000, b'{"timeSeries":' * 200_000])
def test_a_deeply_nested_answer_is_unreadable(bomb: bytes) -> None:
    assert refused(bomb)


def test_bytes_that_are_no_utf8_are_unreadable() -> None:
    assert refused(answer(series(point(FIRST, "1"))).replace(b"grok", b"gr\xffk"))


@pytest.mark.parametrize("values", ["[]", "null"])
def test_no_value_is_zero(values: str) -> None:
    at_zero = f'{{"timestamp": "{FIRST}T00:00:00Z", "values": {values}}}'
    assert cost_of_first_day(answer(series(at_zero))) == {}
    assert cost_of_first_day(answer(series(f'{{"timestamp": "{FIRST}T00:00:00Z"}}'))) == {}


@pytest.mark.parametrize("zero", ["0", "-0", "0.0", "-0.00", "0e5", '"0"'])
def test_zero_amounts_are_left_out(zero: str) -> None:
    assert cost_of_first_day(answer(series(point(FIRST, zero)))) == {}


def test_amounts_of_one_label_that_cancel_out_are_left_out() -> None:
    assert cost_of_first_day(answer(series(point(FIRST, "0.1")), series(point(FIRST, "-0.1")))) == {}


def test_series_of_the_same_label_are_added_up() -> None:
    assert cost_of_first_day(answer(series(point(FIRST, "0.1")), series(point(FIRST, '"0.2"')))) == {
        GROK: Decimal("0.3")
    }


def test_points_of_the_days_beside_the_asked_range_are_dropped() -> None:
    outside = [point(FIRST - timedelta(days=1), "7"), point(LAST + timedelta(days=1), "NaN".replace("NaN", '"odd"'))]
    assert costs(answer(series(*outside, point(LAST, "2"))))[LAST] == {GROK: Decimal(2)}
    assert sum(len(found) for found in costs(answer(series(*outside))).values()) == 0


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-11-02T00:00:00Z",
        "2026-11-02T00:00:00.000000000Z",
        "2026-11-02T00:00:00",
        "2026-11-02T23:59:59Z",
        "2026-11-03T00:30:00+01:00",
        "2026-11-01T20:00:00-05:00",
    ],
)
def test_a_point_belongs_to_the_utc_day_of_its_timestamp(timestamp: str) -> None:
    at = f'{{"timestamp": "{timestamp}", "values": [1]}}'
    assert costs(answer(series(at))) == {FIRST: {}, date(2026, 11, 2): {GROK: Decimal(1)}, LAST: {}}


def test_points_of_several_hours_of_a_day_are_added_up() -> None:
    later = f'{{"timestamp": "{FIRST}T12:00:00Z", "values": [2]}}'
    assert cost_of_first_day(answer(series(point(FIRST, "1"), later))) == {GROK: Decimal(3)}


def test_a_duplicate_point_is_unreadable() -> None:
    assert refused(answer(series(point(FIRST, "1"), point(FIRST, "1"))))
    assert refused(answer('{"group": ["a"], "group": ["b"]}'))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ('"groupLabels": ["File Storage"], "group": ["storage"]', "File Storage"),
        ('"group": ["grok-code-fast-1"]', "grok-code-fast-1"),
        ('"groupLabels": [], "group": ["grok-code-fast-1"]', "grok-code-fast-1"),
        ('"groupLabels": [""], "group": ["grok-code-fast-1"]', "grok-code-fast-1"),
        ('"groupLabels": null, "group": ["grok-code-fast-1"]', "grok-code-fast-1"),
        ('"groupLabels": ["one", "two"]', "one"),
        ('"groupLabels": [" "]', " "),
        ('"groupLabels": ["=1+1\\n<b>"]', "=1+1\n<b>"),
        ('"groupLabels": ["\\ud83d\\ude80"]', "\N{ROCKET}"),
        ('"groupLabels": ["a\\u0000b\\ud800c\\udfff"]', "a�b�c�"),
        ('"groupLabels": [], "group": []', NO_LABEL),
        ('"groupLabels": [null], "group": [7]', NO_LABEL),
        ('"groupLabels": {"a": 1}, "group": "text"', NO_LABEL),
    ],
)
def test_no_label_makes_a_reading_fail(labels: str, expected: str) -> None:
    assert cost_of_first_day(answer(series(point(FIRST, "1"), labels=labels))) == {expected: Decimal(1)}


def test_an_answer_that_is_not_grouped_is_one_sum_a_day_without_a_label() -> None:
    assert cost_of_first_day(answer(f'{{"dataPoints": [{point(FIRST, "4.5")}]}}')) == {NO_LABEL: Decimal("4.5")}


def test_a_cut_answer_is_marked() -> None:
    assert parse(answer(rest=', "limitReached": true'), FIRST, LAST).limit_reached


AMOUNTS = st.from_regex(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,40})?", fullmatch=True)


@given(AMOUNTS, st.booleans())
def test_the_digits_that_xai_wrote_come_back_digit_for_digit(text: str, quoted: bool) -> None:  # noqa: FBT001 - drawn
    found = cost_of_first_day(answer(series(point(FIRST, f'"{text}"' if quoted else text))))
    assert [str(usd) for usd in found.values()] == ([] if not Decimal(text) else [text])


@given(st.floats(min_value=-1e14, max_value=1e14).filter(lambda usd: usd == 0 or abs(usd) > 1e-23))
def test_a_json_double_means_the_digits_of_its_text(usd: float) -> None:
    found = cost_of_first_day(answer(series(point(FIRST, json.dumps(usd)))))
    assert found.get(GROK, Decimal(0)) == Decimal(repr(usd))


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.decimals(-(10**9), 10**9, places=20)), max_size=8))
def test_what_one_label_cost_is_the_exact_sum_of_its_series(parts: list[tuple[str, Decimal]]) -> None:
    body = answer(*(series(point(FIRST, f"{usd:f}"), labels=f'"group": ["{label}"]') for label, usd in parts))
    for label in ("a", "b"):
        expected = sum(Fraction(usd) for name, usd in parts if name == label)
        assert Fraction(cost_of_first_day(body).get(label, Decimal(0))) == expected


@given(st.datetimes(datetime(2026, 10, 31), datetime(2026, 11, 4, 23, 59, 59)))  # noqa: DTZ001 - the zone is drawn as text
def test_no_point_is_lost_or_moved(moment: datetime) -> None:
    body = answer(series(f'{{"timestamp": "{moment.isoformat()}Z", "values": [1]}}'))
    inside = datetime.combine(FIRST, time(), UTC) <= moment.replace(tzinfo=UTC) < datetime(2026, 11, 4, tzinfo=UTC)
    assert [day for day, found in costs(body).items() if found] == ([moment.date()] if inside else [])


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_raise_anything_but_unreadable(body: bytes) -> None:
    with contextlib.suppress(UnreadableAnswerError):
        parse(body, FIRST, LAST)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["timeSeries", "dataPoints", "values", "timestamp", "group", "limitReached", "x"]), inner
        )
    ),
)


@given(JSON)
def test_no_json_raises_anything_but_unreadable(found: object) -> None:
    with contextlib.suppress(UnreadableAnswerError):
        parse(json.dumps(found).encode(), FIRST, LAST)
