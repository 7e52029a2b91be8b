import contextlib
import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import chain, combinations
from random import Random

import pytest
from contract.money import plain
from hypothesis import given
from hypothesis import strategies as st
from xai_usage import NO_LABEL, TICK, OtherDaysError, UnreadableAnswerError, parse

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
    return caught.value.__cause__ is None and (caught.value.__suppress_context__ or caught.value.__context__ is None)


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
        *("NaN", "Infinity", "-Infinity", "1e400", "1e99999999999999999999", "1" * 16, "1e15", "1" * 5000),
        *("999999999999999.99999999999", '"1e15"', "-1e15"),
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
        "2026-11-02T01:00:00+01:00",
        "2026-11-01T16:00:00-08:00",
    ],
)
def test_a_point_belongs_to_the_utc_day_that_begins_at_its_instant(timestamp: str) -> None:
    assert costs(at(timestamp)) == {FIRST: {}, date(2026, 11, 2): {GROK: Decimal(1)}, LAST: {}}


def at(*instants: str) -> bytes:
    points = (f'{{"timestamp": "{instant}", "values": [1]}}' for instant in instants)
    return answer(series(*points))


@pytest.mark.parametrize(
    "instant",
    [
        *("2026-11-01T23:00:00Z", "2026-11-02T07:00:00Z", "2026-11-02T00:00:00-08:00", "2026-11-02T00:00:00+01:00"),
        *("2026-11-02T00:00:00.000001Z", "2026-11-02T00:00:01Z", "2026-11-03T23:59:59Z", "2026-11-02T12:00:00"),
    ],
)
def test_a_point_that_is_not_at_midnight_belongs_to_other_days_than_were_asked(instant: str) -> None:
    with pytest.raises(OtherDaysError):
        costs(at(f"{FIRST}T00:00:00Z", instant))


def test_hourly_points_are_never_summed_unseen() -> None:
    with pytest.raises(OtherDaysError):
        costs(at(*(f"2026-11-02T{hour:02}:00:00Z" for hour in range(24))))


def test_a_point_beside_the_range_is_dropped_at_any_hour_while_the_range_itself_is_answered() -> None:
    body = at("2026-10-31T23:00:00Z", f"{FIRST}T00:00:00Z", "2026-11-04T00:30:00Z")
    assert costs(body) == {FIRST: {GROK: Decimal(1)}, date(2026, 11, 2): {}, LAST: {}}


@pytest.mark.parametrize("hour", [1, 12, 23])
def test_a_single_day_that_is_stamped_on_the_eve_is_not_read_as_zero(hour: int) -> None:
    with pytest.raises(OtherDaysError):
        parse(at(f"2026-10-31T{hour:02}:00:00Z"), FIRST, FIRST)


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


@pytest.mark.parametrize(
    ("written", "usd"),
    [
        *(("1e-25", "0"), ("-1e-25", "0"), ("1.2E-300", "0"), ("0." + "0" * 44 + "7", "0"), ("1e-400000000", "0")),
        *(("4.19999999999e-11", "0"), ("5e-11", "0"), ("1.5e-10", "0.0000000002"), ("2.5e-10", "0.0000000002")),
        *(("-1.5e-10", "-0.0000000002"), ("5.0000000000000001e-11", "0.0000000001")),
        *(("23.456789012300011", "23.4567890123"), ("23.456789012299996", "23.4567890123")),
        *(
            ("1.23456789E8", "123456789"),
            ("1e+11", "100000000000"),
            ("999999999999999.9999999999", "999999999999999.9999999999"),
        ),
    ],
)
def test_an_amount_is_the_tick_that_is_nearest_to_its_digits(written: str, usd: str) -> None:
    for text in (written, f'"{written}"'):
        assert [plain(one) for one in cost_of_first_day(answer(series(point(FIRST, text)))).values()] == (
            [usd] if usd != "0" else []
        )


TICKS = st.integers(-(10**24), 10**24).map(lambda ticks: ticks * TICK)


@given(TICKS, st.booleans())
def test_ticks_come_back_digit_for_digit(usd: Decimal, quoted: bool) -> None:  # noqa: FBT001 - drawn
    found = cost_of_first_day(answer(series(point(FIRST, f'"{usd:f}"' if quoted else f"{usd:f}"))))
    assert [plain(one) for one in found.values()] == ([plain(usd)] if usd else [])


@given(st.decimals(-(10**9), 10**9, places=24))
def test_an_amount_is_off_by_half_a_tick_at_most_and_the_raw_answer_by_nothing(usd: Decimal) -> None:
    body = answer(series(point(FIRST, f"{usd:f}")))
    assert abs(Fraction(cost_of_first_day(body).get(GROK, Decimal(0))) - Fraction(usd)) <= Fraction(TICK) / 2
    assert parse(body, FIRST, LAST).body == body


@given(st.integers(-(10**14), 10**14), st.integers(2, 40), st.randoms(use_true_random=False))
def test_the_order_in_which_doubles_were_added_changes_nothing(ticks: int, parts: int, random: Random) -> None:
    shares = [1 + random.random() for _ in range(parts)]
    doubles = [ticks / 1e10 * share / sum(shares) for share in shares]
    orders = [random.sample(doubles, parts) for _ in range(3)]
    sums = {json.dumps(reduce(float.__add__, order)) for order in orders}
    found = [cost_of_first_day(answer(series(point(FIRST, text)))) for text in sums]
    assert all(one == ({GROK: ticks * TICK} if ticks else {}) for one in found)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.decimals(-(10**9), 10**9, places=20)), max_size=8))
def test_what_one_label_cost_is_the_sum_of_the_ticks_of_its_series(parts: list[tuple[str, Decimal]]) -> None:
    body = answer(*(series(point(FIRST, f"{usd:f}"), labels=f'"group": ["{label}"]') for label, usd in parts))
    for label in ("a", "b"):
        expected = sum(Fraction(usd.quantize(TICK)) for name, usd in parts if name == label)
        assert Fraction(cost_of_first_day(body).get(label, Decimal(0))) == expected


PROTO_NAMES = {"timeSeries": "time_series", "groupLabels": "group_labels", "dataPoints": "data_points"} | {
    "limitReached": "limit_reached"
}
BOTH_FORMS = answer(series(point(FIRST, "1.5")), rest=', "limitReached": true').decode()


@pytest.mark.parametrize("names", list(chain.from_iterable(combinations(PROTO_NAMES, n) for n in range(1, 5))))
def test_each_field_is_read_by_either_of_its_names(names: tuple[str, ...]) -> None:
    body = BOTH_FORMS
    for name in names:
        body = body.replace(name, PROTO_NAMES[name])
    read = parse(body.encode(), FIRST, LAST)
    assert (read.days[FIRST], read.limit_reached) == ({GROK: Decimal("1.5")}, True)


@pytest.mark.parametrize("name", PROTO_NAMES)
@pytest.mark.parametrize("value", ["null", "false", "[]"])
def test_a_field_that_comes_by_both_of_its_names_makes_the_answer_unreadable(name: str, value: str) -> None:
    assert refused(BOTH_FORMS.replace(f'"{name}"', f'"{PROTO_NAMES[name]}": {value}, "{name}"').encode())


@given(st.datetimes(datetime(2026, 10, 31), datetime(2026, 11, 4, 23, 59, 59)))  # noqa: DTZ001 - the zone is drawn as text
def test_a_point_is_counted_on_its_day_or_beside_the_range_or_unreadable(moment: datetime) -> None:
    first = f"{FIRST}T00:00:00Z"
    body = at(*{first, f"{moment.isoformat()}Z"})
    inside = FIRST <= moment.date() <= LAST
    if inside and moment.time() != time():
        assert refused(body)
    else:
        assert {day for day, found in costs(body).items() if found} == {FIRST} | ({moment.date()} if inside else set())


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
