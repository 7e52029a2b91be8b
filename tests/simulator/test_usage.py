import gzip
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator.client import Client, query
from simulator.costs import ZERO, add, costs
from simulator.edits import Restate
from simulator.faults import Fault
from simulator.query import UsageQuery, read_query
from simulator.teams import (
    DEMO_KEY,
    DEMO_TEAM,
    EMPTY_KEY,
    EMPTY_TEAM,
    INFERENCE_KEY,
    NO_SCOPE_KEY,
    REVOKED_KEY,
    SECOND_KEY,
    SECOND_TEAM,
    UNKNOWN_TEAM,
    Team,
)
from simulator.usage import response as written
from simulator.usage_json import Shape

labels = st.text(max_size=20) | st.just("grok-code-fast-1")

PLAIN_SHAPES = [
    Shape.OMIT_DEFAULTS,
    Shape.NULL_LISTS,
    Shape.SPARSE,
    Shape.EMPTY_VALUES,
    Shape.NUMERIC_STRINGS,
    Shape.EXPONENTS,
    Shape.NO_GROUP_LABELS,
    Shape.EMPTY_GROUP_LABELS,
    Shape.UNKNOWN_FIELDS,
    Shape.HOURLY,
]
"""Which answer the same, read by these names; scenarios play the others."""

SEED = 3
TODAY = date(2026, 11, 20)
FIRST, LAST = date(2026, 11, 1), date(2026, 11, 18)


def exact(body: bytes) -> Any:
    return json.loads(body, parse_float=Decimal, parse_int=Decimal)


def per_day(body: bytes) -> dict[date, dict[str, Decimal]]:
    """Sum the response's series per day and label, without zeros; ungrouped, the label is empty."""
    days: dict[date, dict[str, Decimal]] = {}
    for series in exact(body).get("timeSeries") or []:
        label = "".join(series.get("groupLabels") or series.get("group") or [])
        for point in series.get("dataPoints") or []:
            usd = Decimal((point.get("values") or [0])[0])
            found = days.setdefault(date.fromisoformat(point["timestamp"][:10]), {})
            if usd:
                found[label] = add(found.get(label, ZERO), usd)
    return days


def asked(first_day: date, last_day: date, *, grouped: bool = True) -> UsageQuery:
    return read_query(json.dumps(query(first_day, last_day, grouped=grouped)).encode())


async def test_the_response_is_what_the_seed_draws_digit_for_digit(simulator: Client) -> None:
    response = await simulator.ask(FIRST, LAST)
    assert response.headers["content-type"] == "application/json"
    for day, found in per_day(response.content).items():
        assert found == {label: usd for label, usd in costs(SEED, DEMO_TEAM, day).items() if usd}
    assert per_day(response.content) == await simulator.costs(FIRST, LAST)


async def test_points_are_dense_and_named_by_their_beginning(simulator: Client) -> None:
    for series in exact((await simulator.ask(FIRST, LAST)).content)["timeSeries"]:
        stamps = [point["timestamp"] for point in series["dataPoints"]]
        assert stamps == [f"{FIRST + timedelta(days=n)}T00:00:00Z" for n in range(18)]
        assert series["group"] == series["groupLabels"]


async def test_a_label_may_come_as_two_series(simulator: Client) -> None:
    labels = [tuple(series["group"]) for series in exact((await simulator.ask(FIRST, LAST)).content)["timeSeries"]]
    assert labels.count(("grok-code-fast-1",)) == 2
    assert len(labels) == len(set(labels)) + 1


async def test_ungrouped_is_one_series_without_a_group(simulator: Client) -> None:
    (series,) = exact((await simulator.ask(FIRST, LAST, grouped=False)).content)["timeSeries"]
    assert (series["group"], series["groupLabels"], len(series["dataPoints"])) == ([], [], 18)


@settings(max_examples=20)
@given(st.integers(0, 89), st.integers(0, 20), st.integers())
def test_the_labels_of_a_day_sum_to_its_ungrouped_amount(ago: int, length: int, seed: int) -> None:
    now = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
    first = TODAY - timedelta(days=ago)
    team, last = Team(DEMO_TEAM, seed), first + timedelta(days=length)
    grouped, ungrouped = (
        per_day(written(team, asked(first, last, grouped=grouped), Fault(), now)) for grouped in (True, False)
    )
    assert {day: sum(found.values()) for day, found in grouped.items()} == {
        day: found.get("", 0) for day, found in ungrouped.items()
    }


@given(st.dictionaries(labels, st.decimals(-(10**15), 10**15, allow_nan=False), max_size=5))
def test_any_amount_and_label_survive(amounts: dict[str, Decimal]) -> None:
    team = Team(DEMO_TEAM, 1, edits=[Restate(LAST, amounts)])
    found = per_day(written(team, asked(LAST, LAST), Fault(), datetime(2026, 11, 20, tzinfo=UTC)))
    assert found.get(LAST, {}) == {label: usd for label, usd in amounts.items() if usd}


async def test_a_team_that_spent_nothing_has_no_series(simulator: Client) -> None:
    response = await simulator.ask(FIRST, LAST, team=EMPTY_TEAM, key=EMPTY_KEY)
    assert response.json() == {"timeSeries": [], "limitReached": False}


async def test_beyond_ninety_days_and_in_the_future_the_zeros_are_false(simulator: Client) -> None:
    oldest = TODAY - timedelta(days=89)
    await simulator.control("PUT", f"/teams/{SECOND_TEAM}", {"keys": [{"key": SECOND_KEY}], "late_hours": None})
    edit = {"label": "grok-5", "from_day": str(oldest - timedelta(days=10))}
    await simulator.control("POST", f"/teams/{SECOND_TEAM}/models", edit)
    first, last = oldest - timedelta(days=3), TODAY + timedelta(days=3)
    found = per_day((await simulator.ask(first, last, team=SECOND_TEAM, key=SECOND_KEY)).content)
    with_costs = [day for day in found if found[day]]
    assert (min(with_costs), max(with_costs), len(with_costs)) == (oldest, TODAY, 90)


async def test_a_day_of_another_time_zone_begins_at_its_own_midnight(simulator: Client) -> None:
    body = json.dumps(query(FIRST, LAST)).replace("Etc/GMT", "Europe/Berlin")
    series = exact((await simulator.post(json.loads(body))).content)["timeSeries"][0]
    assert series["dataPoints"][0]["timestamp"] == "2026-10-31T23:00:00Z"


@pytest.mark.parametrize(
    ("team", "key", "status", "code"),
    [
        (DEMO_TEAM, INFERENCE_KEY, 401, 16),
        (DEMO_TEAM, REVOKED_KEY, 401, 16),
        (DEMO_TEAM, "", 401, 16),
        (DEMO_TEAM, NO_SCOPE_KEY, 403, 7),
        (DEMO_TEAM, SECOND_KEY, 403, 7),
        (UNKNOWN_TEAM, DEMO_KEY, 404, 5),
        ("not-a-uuid", DEMO_KEY, 400, 3),
        (DEMO_TEAM[:-1], DEMO_KEY, 400, 3),
    ],
)
async def test_each_refusal_has_its_status_and_grpc_code(
    simulator: Client, team: str, key: str, status: int, code: int
) -> None:
    response = await simulator.ask(FIRST, LAST, team=team, key=key)
    assert (response.status_code, response.json()["code"], response.json()["details"]) == (status, code, [])
    (seen,) = await simulator.requests(team)
    assert (seen["status"], seen["first_day"], seen["grouped"]) == (status, None, None)
    assert not key or key not in json.dumps(seen)


async def test_a_malformed_question_is_refused_after_the_key_is_known(simulator: Client) -> None:
    assert (await simulator.post({"analyticsRequest": {}})).status_code == 400
    assert (await simulator.post({}, key=REVOKED_KEY)).status_code == 401


async def test_the_case_of_a_team_id_does_not_matter(simulator: Client) -> None:
    team = "ABCDEFAB-1111-4111-8111-111111111111"
    await simulator.control("PUT", f"/teams/{team.lower()}", {"keys": [{"key": "fake-key"}]})
    assert (await simulator.ask(FIRST, LAST, team=team, key="fake-key")).status_code == 200


async def test_gzip_is_used_where_it_is_accepted(simulator: Client) -> None:
    simulator.http.headers["Accept-Encoding"] = "identity"
    assert "content-encoding" not in (plain := await simulator.ask(FIRST, LAST)).headers
    simulator.http.headers["Accept-Encoding"] = "gzip"
    zipped = await simulator.ask(FIRST, LAST)
    assert zipped.headers["content-encoding"] == "gzip"
    assert int(zipped.headers["content-length"]) < len(gzip.compress(plain.content)) + 100
    assert zipped.content == plain.content


@pytest.mark.parametrize("shape", PLAIN_SHAPES)
async def test_every_shape_has_the_same_content(simulator: Client, shape: Shape) -> None:
    plain = await simulator.ask(FIRST, LAST)
    await simulator.fault(extra=[shape])
    shaped = await simulator.ask(FIRST, LAST)
    assert shaped.content != plain.content or shape is Shape.NULL_LISTS
    days = per_day(shaped.content)
    assert {day: found for day, found in days.items() if found} == {
        day: found for day, found in per_day(plain.content).items() if found
    }


async def test_an_end_that_is_included_is_one_more_point(simulator: Client) -> None:
    await simulator.fault(extra=["end_included"])
    assert max(per_day((await simulator.ask(FIRST, LAST)).content)) == LAST + timedelta(days=1)


@pytest.mark.parametrize(
    ("shapes", "body"),
    [
        (["omit_defaults"], b"{}"),
        (["null_lists"], b'{"timeSeries":null,"limitReached":false}'),
    ],
)
async def test_empty_lists_may_be_absent_or_null(simulator: Client, shapes: list[str], body: bytes) -> None:
    await simulator.control(
        "PUT", f"/teams/{EMPTY_TEAM}", {"keys": [{"key": EMPTY_KEY}], "spends": False, "shapes": shapes}
    )
    assert (await simulator.ask(FIRST, LAST, team=EMPTY_TEAM, key=EMPTY_KEY)).content == body
