"""What is stored of an answer, and later published word for word."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from contract.fields import Trigger
from contract.messages import WindowRead
from hypothesis import given
from hypothesis import strategies as st
from syncer.decisions import decide_reading, parse_decision
from syncer.domain import Days

from tests.syncer.support.fakes import says

DAY = date(2026, 11, 20)
DAYS = Days(DAY - timedelta(days=2), DAY)

amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=12).filter(bool)


def window() -> WindowRead:
    return WindowRead(
        account_id="account-1",
        integration_id=UUID(int=7),
        first_day=DAYS.first,
        last_day=DAYS.last,
        trigger=Trigger.FORCE,
        request_ids=("one",),
        reading_id=UUID(int=8),
        observed_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
        totals={},
        credential_version=1,
    )


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), amounts, max_size=8)
)
def test_a_day_has_one_entry_a_label_sorted_and_adds_up_to_the_last_digit(costs: dict[str, Decimal]) -> None:
    decision = decide_reading(says(DAYS, costs), window())

    for day in decision.days:
        assert {cost.label: cost.usd for cost in day.costs} == costs
        assert [cost.label for cost in day.costs] == sorted(costs)
        assert day.usd == sum(costs.values(), Decimal(0)) == decision.window.totals[day.day]


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), amounts, max_size=8)
)
def test_what_was_stored_reads_back_the_same(costs: dict[str, Decimal]) -> None:
    decision = decide_reading(says(DAYS, costs), window())

    stored = decision.model_dump_json()

    assert parse_decision(stored).model_dump_json() == stored


def test_an_empty_day_is_said_and_a_cut_one_is_not() -> None:
    decision = decide_reading(says(DAYS, {}, cut=[DAYS.first]), window())

    assert [day.day for day in decision.days] == [DAY - timedelta(days=1), DAY]
    assert decision.window.totals == {DAY - timedelta(days=1): Decimal(0), DAY: Decimal(0)}


def test_a_day_too_large_for_a_record_counts_as_cut() -> None:
    huge = {f"{number:05} {'x' * 200}": Decimal(1) for number in range(4000)}

    decision = decide_reading(says(DAYS, huge), window())

    assert decision.days == ()
    assert decision.window.totals == {}
