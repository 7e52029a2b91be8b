"""A delivery is handled in batches that are bounded in number and in bytes, and leave nothing out."""

import pytest
from common.kafka import delivery
from common.kafka.delivery import portions
from contract.topics import COSTS

from tests.support.messages import raw_record


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([], []),
        ([1, 1, 1, 1], [[1, 1, 1], [1]]),
        ([4, 4, 4], [[4, 4], [4]]),
        ([1, 50, 1, 1], [[1], [50], [1, 1]]),
        ([50, 50], [[50], [50]]),
        ([0, 10, 0], [[0, 10, 0]]),
    ],
    ids=["nothing", "by number", "by bytes", "a large one alone", "large ones", "a tombstone"],
)
def test_batches_have_at_most_so_many_records_and_bytes(
    sizes: list[int], batches: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MAX_VALUES_BYTES", 10)
    records = [raw_record(COSTS, b"x" * size or None, offset=number) for number, size in enumerate(sizes)]

    found = list(portions(records, 3))

    assert [[len(record.value or b"") for record in one] for one in found] == batches
    assert [record.offset for one in found for record in one] == list(range(len(sizes)))
