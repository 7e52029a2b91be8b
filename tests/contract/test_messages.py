"""The contract of the messages: exact, frozen, and open to what comes later."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from contract.messages import Cost, CostRecorded, Message, SyncRequested
from contract.money import plain, total
from contract.topics import TOPICS
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

AMOUNTS = st.decimals(min_value=-(10**14), max_value=10**14, places=25, allow_nan=False, allow_infinity=False)


def recorded(costs: tuple[Cost, ...], usd: Decimal) -> CostRecorded:
    return CostRecorded(
        account_id="account-1",
        integration_id=UUID(int=1),
        day=date(2026, 11, 1),
        usd=usd,
        costs=costs,
        reading_id=UUID(int=2),
        observed_at=datetime(2026, 11, 20, tzinfo=UTC),
    )


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), AMOUNTS))
def test_money_passes_through_a_message_digit_for_digit(amounts: dict[str, Decimal]) -> None:
    costs = tuple(Cost(label=label, model=label, usd=usd) for label, usd in sorted(amounts.items()))
    sent = recorded(costs, total(amounts.values()))

    received = CostRecorded.model_validate_json(sent.model_dump_json())

    assert received == sent
    assert "E" not in plain(received.usd)


@pytest.mark.parametrize(
    ("labels", "usd"), [(["b", "a"], "2"), (["a", "a"], "2"), (["a", "b"], "3")], ids=["unsorted", "twice", "other sum"]
)
def test_a_day_that_does_not_add_up_is_refused(labels: list[str], usd: str) -> None:
    costs = tuple(Cost(label=label, model=label, usd=Decimal(1)) for label in labels)

    with pytest.raises(ValidationError) as refused:
        recorded(costs, Decimal(usd))
    assert "account-1" not in str(refused.value)


def test_unknown_fields_are_ignored() -> None:
    body = '{"request_id": "1", "trigger": "force", "requested_at": "2026-11-20T00:00:00+01:00", "new": 1}'

    assert SyncRequested.model_validate_json(body).requested_at == datetime(2026, 11, 19, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "fields",
    [
        {"requested_at": "2026-11-20T00:00:00"},
        {"requested_at": "1795219200"},
        {"requested_at": 1795219200},
        {"first_day": 1795219200, "last_day": 1795219200},
        {"first_day": "1795219200", "last_day": "2026-11-21"},
        {"first_day": "2026-11-20"},
        {"first_day": "2026-11-20", "last_day": "2026-11-19"},
        {"request_id": ""},
        {"request_id": "a\u0000b"},
        {"trigger": "no trigger"},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    good: dict[str, object] = {"request_id": "1", "trigger": "force", "requested_at": "2026-11-20T00:00:00Z"}

    with pytest.raises(ValidationError):
        SyncRequested.model_validate(good | fields)


def test_every_message_is_carried_by_one_topic() -> None:
    carried = [message for topic in TOPICS for message in topic.messages]

    assert len(carried) == len(set(carried)) == 16
    assert all(issubclass(message, Message) for message in carried)
