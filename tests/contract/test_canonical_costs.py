"""What is read the fast way is what the model would read; whatever the model refuses is refused."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from contract.messages import Cost, CostRecorded, canonical_costs
from contract.money import total
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

AMOUNTS = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places), st.integers(1 - 10**15, 10**15 - 1), st.integers(0, 40)
)
TEXTS = st.text("aZ09 -_,:{}[]'éß\x7f\u0085\u2028\U0001f600", max_size=8)
"""Of what is written as it is; quotes and backslashes are escaped, and left to the model."""
COSTS = st.dictionaries(TEXTS, st.tuples(st.none() | TEXTS, TEXTS, AMOUNTS), max_size=4).filter(
    lambda costs: abs(total(usd for *_, usd in costs.values())) < 10**15
)
PIECES = st.sampled_from(
    [
        *'{}[],:"\\ 0123456789-+.eE/aZ',
        "null",
        "\\u0000",
        "\0",
        "\n",
        "é",
        "\x7f",
        ',"new":1',
        '"usd":"1",',
        "},{",
        "1.0",
    ]
)


def written(costs: dict[str, tuple[str | None, str, Decimal]]) -> bytes:
    """The body of a message, as a syncer writes it."""
    return (
        CostRecorded(
            account_id="acme",
            integration_id=UUID(int=2**128 - 1),
            day=date(2026, 11, 1),
            usd=total(usd for *_, usd in costs.values()),
            costs=tuple(
                Cost(label=label, product=product, model=model, usd=usd)
                for label, (product, model, usd) in sorted(costs.items())
            ),
            reading_id=UUID(int=2),
            observed_at=datetime(2026, 11, 20, 6, 0, 0, 17, tzinfo=UTC),
        )
        .model_dump_json()
        .encode()
    )


def check(body: bytes) -> bool:
    """Whether `body` is read the fast way; then it has to be what the model reads."""
    found = canonical_costs.read(body)
    if found is None:
        return False
    message = CostRecorded.model_validate_json(body)
    assert found == dict(message) | {"costs": (message.costs.labels, message.costs.amounts)}
    return True


@given(COSTS)
def test_what_a_syncer_writes_is_read_the_fast_way(costs: dict[str, tuple[str | None, str, Decimal]]) -> None:
    body = written(costs)

    assert check(body)
    assert CostRecorded.read(body) == CostRecorded.model_validate_json(body)
    assert CostRecorded.read(body).model_dump_json().encode() == body


@given(COSTS.filter(bool), st.data())
def test_a_damaged_message_is_read_as_the_model_reads_it_or_not_at_all(
    costs: dict[str, tuple[str | None, str, Decimal]], data: st.DataObject
) -> None:
    text = written(costs).decode()
    for _ in range(data.draw(st.integers(1, 2))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(start + 3, len(text))))
        text = text[:start] + data.draw(PIECES | st.just("")) + text[end:]

    check(text.encode())


SAME = {"a": ("Chat", "x", Decimal("1.5")), "b": (None, "b", Decimal(2))}


@pytest.mark.parametrize(
    ("place", "instead"),
    [
        ('"usd":"1.5"', '"usd":"1.50"'),
        ('"usd":"1.5"', '"usd":"15e-1"'),
        ('"label":"a"', '"label":"\\u0061"'),
        ('"product":null,', ""),
        ("}", ',"new":1}'),
        ('{"account_id"', '{"new":1,"account_id"'),
        (".000017Z", ".000017+00:00"),
        ('":', '": '),
        ("}]", "}] "),
    ],
)
def test_another_way_to_write_the_same_is_left_to_the_model(place: str, instead: str) -> None:
    body = written(SAME).decode().replace(place, instead, 1).encode()

    assert canonical_costs.read(body) is None
    assert CostRecorded.read(body) == CostRecorded.read(written(SAME))
    assert CostRecorded.read(body).costs.json == CostRecorded.read(written(SAME)).costs.json
    assert CostRecorded.read(body).costs.labels == CostRecorded.read(written(SAME)).costs.labels


@pytest.mark.parametrize(
    ("place", "instead"),
    [
        ('"usd":"3.5"', '"usd":"3.6"'),
        ('"label":"b"', '"label":"a"'),
        ('"label":"b"', '"label":"A"'),
        ('"label":"a"', '"label":"\0"'),
        ('"label":"a"', '"label":"\n"'),
        ('[{"label":"a"', '[,{"label":"a"'),
        ("},{", "}{"),
        ("}]", "},]"),
        ("2026-11-01", "2026-11-31"),
        ("T06", "T25"),
        ("ffffffff-", "ffffffffffff-"),
        ("acme", "a" * 65),
    ],
)
def test_what_is_wrong_is_refused_by_both(place: str, instead: str) -> None:
    body = written(SAME).decode().replace(place, instead, 1).encode()

    assert canonical_costs.read(body) is None
    with pytest.raises(ValidationError):
        CostRecorded.read(body)


def test_a_cost_without_an_amount_is_refused_whatever_comes_instead() -> None:
    body = written(SAME).replace(b'"usd":"3.5"', b'"usd":"2"').replace(b',"usd":"1.5"', b"\0")

    assert canonical_costs.read(body) is None
    with pytest.raises(ValidationError):
        CostRecorded.read(body)


def test_costs_that_were_read_are_a_sequence_like_any_other() -> None:
    read, model = CostRecorded.read(written(SAME)).costs, CostRecorded.model_validate_json(written(SAME)).costs

    assert (read, hash(read), repr(read), len(read)) == (model, hash(model), repr(model), 2)
    assert (read[0], read[1:], list(read)) == (model[0], tuple(model)[1:], list(model))
    assert read == tuple(model)
    assert json.loads(read.json) == _plain(model)


def _plain(costs: Any) -> list[dict[str, object]]:
    return [cost.model_dump(mode="json") for cost in costs]
