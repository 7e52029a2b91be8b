"""The records that a benchmark fills a topic with are those that the syncer writes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from contract.messages import CostRecorded, WindowRead
from xai_usage.labels import product_and_model

from benchmarks.support.facts import LABELS, Reading

READING = Reading(integrations=2, windows=2, days=3, observed_at=datetime(2026, 10, 1, 6, tzinfo=UTC))


def days_of(reading: Reading) -> list[CostRecorded]:
    return [
        CostRecorded.model_validate_json(record.value)
        for record in reading.records()
        if dict(record.headers)["ce_type"] == b"CostRecorded"
    ]


def costs_of(reading: Reading) -> list[dict[str, Decimal]]:
    return [{cost.label: cost.usd for cost in day.costs} for day in days_of(reading)]


def test_a_day_has_the_bytes_that_the_contract_writes() -> None:
    values = [record.value for record in READING.records() if dict(record.headers)["ce_type"] == b"CostRecorded"]
    assert values == [CostRecorded.model_validate_json(value).model_dump_json().encode() for value in values]


def test_a_reading_has_as_many_messages_facts_and_outcomes_as_it_announces() -> None:
    proofs = [one for one in READING.records() if dict(one.headers)["ce_type"] == b"WindowRead"]
    assert len(list(READING.records())) == READING.messages
    assert sum(len(day.costs) for day in days_of(READING)) == READING.facts
    assert len(proofs) == READING.outcomes


def test_a_window_announces_the_totals_of_its_days() -> None:
    records = list(replace(READING, integrations=1, windows=1).records())
    window = WindowRead.model_validate_json(records[-1].value)
    assert window.totals == {day.day: day.usd for day in days_of(replace(READING, integrations=1, windows=1))}


def test_a_later_reading_of_the_same_integrations_is_equal_unless_it_is_restated_in_one_label() -> None:
    later = replace(READING, observed_at=READING.observed_at + timedelta(days=1))
    assert costs_of(later) == costs_of(READING)
    for before, after in zip(costs_of(READING), costs_of(replace(later, restated=True)), strict=True):
        assert [label for label in LABELS if before[label] != after[label]] == [LABELS[0]]


def test_labels_have_12_to_30_characters_a_product_and_a_model() -> None:
    assert all(12 <= len(label) <= 30 for label in LABELS)
    assert {product_and_model(label)[0] for label in LABELS} == {"Chat"}
