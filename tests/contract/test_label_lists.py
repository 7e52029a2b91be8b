"""The labels of a day have an ID that whoever writes them computes alike."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from contract.messages import Cost, CostRecorded
from contract.messages.label_lists import LabelList
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
LISTS = st.dictionaries(TEXTS, st.tuples(st.none() | TEXTS, TEXTS), max_size=4)
Labels = dict[str, tuple[str | None, str]]


def recorded(labels: Labels, usd: str) -> CostRecorded:
    costs = tuple(
        Cost(label=label, product=product, model=model, usd=Decimal(usd))
        for label, (product, model) in sorted(labels.items())
    )
    return CostRecorded(
        account_id="acme",
        integration_id=UUID(int=1),
        day=date(2026, 11, 1),
        usd=len(labels) * Decimal(usd),
        costs=costs,
        reading_id=UUID(int=2),
        observed_at=datetime(2026, 11, 20, 6, tzinfo=UTC),
    )


@given(LISTS)
def test_a_day_that_was_read_has_the_list_of_the_day_that_was_written(labels: Labels) -> None:
    written = recorded(labels, "1.5").costs
    read = CostRecorded.read(recorded(labels, "1.5").model_dump_json().encode()).costs

    assert (read.labels, read.amounts) == (written.labels, written.amounts)
    assert read == written
    assert read.labels.labels_id == written.labels.labels_id


@given(LISTS, LISTS)
def test_two_days_have_one_id_where_label_product_and_model_are_the_same(one: Labels, other: Labels) -> None:
    ids = [recorded(labels, usd).costs.labels.labels_id for labels, usd in ((one, "1"), (other, "2"))]

    assert (ids[0] == ids[1]) == (one == other)


def test_the_id_of_a_list_never_changes() -> None:
    labels = LabelList('[{"label":"Chat grok-4","product":"Chat","model":"grok-4"}]')

    assert labels.labels_id == UUID("af0e7bac-c920-77ce-95d0-e93fee5faef9")
