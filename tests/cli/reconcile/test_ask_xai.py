"""xAI's present answers are compared with the ledger digit for digit; what may still change is distinguished."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from grafient.reconcile.ask_xai import differences
from hypothesis import given
from hypothesis import strategies as st
from ledger.operations.reconcile import StoredDay
from syncer.operations.ask_xai import WindowAnswer

DAY = date(2026, 11, 1)
SETTLED = datetime(2026, 11, 9, tzinfo=UTC)
COSTS = st.dictionaries(st.sampled_from(["SKU A", "SKU B", "SKU C", "SKU D", "SKU E"]), st.decimals(1, 99, places=9))


def _answer(costs: Mapping[str, Decimal], **fields: Any) -> WindowAnswer:
    figures: dict[str, Any] = {"days": {DAY: costs}, "sums": {DAY: sum(costs.values(), Decimal(0))}}
    return WindowAnswer(UUID(int=1), "account-1", SETTLED, **figures | fields)


def _stored(costs: Mapping[str, Decimal], observed_at: datetime = SETTLED) -> dict[date, StoredDay]:
    return {DAY: StoredDay(DAY, sum(costs.values(), Decimal(0)), costs, observed_at)}


@given(COSTS, COSTS)
def test_a_day_differs_exactly_where_a_label_does(here: dict[str, Decimal], there: dict[str, Decimal]) -> None:
    found = list(differences(_answer(there), _stored(here)))

    assert [one.kind for one in found] == ([] if here == there else ["xai_differs"])


def test_the_noise_of_a_long_sum_is_no_difference_and_a_tick_is() -> None:
    here, noise, tick = Decimal("12345.6789012345"), Decimal("12345.6789012350"), Decimal("1.0000000001")

    assert list(differences(_answer({"SKU A": noise}, sums={DAY: here}), _stored({"SKU A": here}))) == []
    (found,) = differences(_answer({"SKU A": noise, "SKU B": tick}), _stored({"SKU A": here, "SKU B": Decimal(1)}))
    assert (found.kind, found.detail) == ("xai_differs", "SKU B: 1 here, 1.0000000001 at xAI")


@pytest.mark.parametrize(("before", "kind"), [(timedelta(0), "xai_differs"), (timedelta(microseconds=1), "moved")])
def test_a_day_is_settled_a_week_after_its_end(before: timedelta, kind: str) -> None:
    (found,) = differences(_answer({}), _stored({"SKU A": Decimal(1)}, SETTLED - before))

    assert (found.kind, found.days, found.detail) == (kind, "2026-11-01", "SKU A: 1 here, none at xAI")


def test_labels_that_do_not_add_up_to_xais_own_sum_are_shown() -> None:
    costs = {"SKU A": Decimal("1.5")}

    (found,) = differences(_answer(costs, sums={DAY: Decimal(2)}), _stored(costs))

    assert (found.kind, found.detail) == ("xai_disagrees", "xAI's labels add up to 1.5, its sum is 2")


def test_a_day_that_xai_cuts_is_named() -> None:
    assert [one.kind for one in differences(_answer({}, days={}, sums={}, cut_days=frozenset({DAY})), {})] == [
        "cut_by_xai"
    ]


def test_a_day_that_the_ledger_does_not_hold_is_named_elsewhere() -> None:
    assert list(differences(_answer({"SKU A": Decimal(1)}), {})) == []


def test_of_many_labels_the_first_are_shown_and_the_rest_counted() -> None:
    (found,) = differences(_answer({f"SKU {number}": Decimal(1) for number in range(5)}), _stored({}))

    assert found.detail.endswith("; and 2 more labels")
