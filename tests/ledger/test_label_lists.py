"""The labels of a day are stored once for all days that have the same."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from contract.messages.label_lists import LabelList
from ledger.operations import reconcile

from tests.ledger.support.ledger import ERASED, FIRST, LedgerHarness, later, reading_of

LISTS = "SELECT labels_id, labels, xmin::text AS version FROM label_lists ORDER BY jsonb_array_length(labels)"


async def test_days_of_all_teams_share_the_list_of_their_labels(ledger: LedgerHarness, team: UUID) -> None:
    costs = {FIRST: {"a": "1.5", "b": "2"}, FIRST + timedelta(days=1): {"a": "0.1", "b": "7"}}
    await ledger.record(team, costs)
    await ledger.record(uuid4(), costs)

    (one,) = await ledger.sql(LISTS)
    assert one.labels == [{"label": label, "product": None, "model": label} for label in "ab"]
    stored = await ledger.sql("SELECT labels_id, CAST(amounts AS text) FROM days ORDER BY integration_id, day")
    assert stored == 2 * [(one.labels_id, "{1.5,2}"), (one.labels_id, "{0.1,7}")]


async def test_a_day_without_costs_has_an_empty_list(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.record(team, {FIRST: {}})

    assert await ledger.sql("SELECT labels_id, amounts FROM days") == [(LabelList("[]").labels_id, [])]
    assert await ledger.sql("SELECT costs_of(labels_id, amounts) FROM days") == [([],)]


async def test_a_list_is_written_once_also_by_batches_at_the_same_time(ledger: LedgerHarness, team: UUID) -> None:
    messages = [
        reading_of(uuid4(), {FIRST: dict.fromkeys(labels, "1")}).days[0] for labels in ("abc", "ab", "a", "ab", "abc")
    ]
    await asyncio.gather(*(ledger.receive(*some) for some in (messages, messages[::-1])))
    before = await ledger.sql(LISTS)
    assert [len(one.labels) for one in before] == [1, 2, 3]

    await ledger.record(team, {FIRST: {"a": "9"}}, observed_at=later(1))

    assert await ledger.sql(LISTS) == before


OWN = {"a": "1", "own-model": "2"}


@pytest.mark.parametrize(
    "readings",
    [
        [{"a": "1"}, OWN],
        [OWN, {"a": "1"}],
        [{"a": "1", "own-model": "0"}, {"a": "1"}],
    ],
    ids=["newest", "former", "no revision"],
)
async def test_what_is_erased_leaves_no_label_that_nobody_else_has(
    ledger: LedgerHarness, team: UUID, readings: list[dict[str, str]]
) -> None:
    for hour, costs in enumerate(readings):
        await ledger.record(team, {FIRST: costs}, observed_at=later(hour))
    await ledger.record(team, {FIRST: {"own-model-of-an-older-reading": "1"}}, observed_at=later(-1))
    await ledger.record(uuid4(), {FIRST: {"a": "1"}})

    await ledger.add(team, **ERASED)
    await ledger.record(team, {FIRST: OWN}, observed_at=later(9))

    assert [[one["label"] for one in row.labels] for row in await ledger.sql(LISTS)] == [["a"]]


@pytest.mark.parametrize("table", ["days", "day_revisions"])
async def test_a_day_without_its_labels_is_reported(ledger: LedgerHarness, team: UUID, table: str) -> None:
    await ledger.record(team, {FIRST: {"a": "5"}}, observed_at=later(-1))
    await ledger.record(team, {FIRST: {"a": "1"}, FIRST + timedelta(days=1): {"a": "1", "b": "2"}})
    await ledger.sql(f"UPDATE {table} SET labels_id = gen_random_uuid() WHERE day = :day", day=FIRST)  # noqa: S608 - a constant
    await ledger.sql("DELETE FROM day_revisions WHERE said_since > :at", at=later(-1))

    async with ledger.owner.transaction() as connection:
        (found,) = await reconcile.uneven(connection)

    assert (found.integration_id, found.first_day, found.last_day) == (team, FIRST, FIRST)
