"""The ledger's SQL and the contract agree on which readings of a day are the same; only others make a revision."""

import json
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from contract.money import plain, same_costs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ledger.support.ledger import FIRST, LedgerHarness, later

LABELS = st.sampled_from(["a", "b", "Chat grok-4-0709", "", "\N{ROCKET}"])
TICK = Decimal("1E-10")
AMOUNTS = st.one_of(
    st.integers(-(10**14), 10**14).map(lambda ticks: ticks * TICK),
    st.decimals(-(10**14), 10**14, places=24),
    st.sampled_from([Decimal(0), Decimal(1), Decimal(100), Decimal("99.9999999999")]),
)
DAYS = st.dictionaries(LABELS, AMOUNTS, max_size=4)
NOISE = st.sampled_from(["0", "1E-10", "-1E-10", "1E-9", "-3E-8", "1E-24", "0.5"]).map(Decimal)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Two days, mostly close to each other."""
    one = draw(DAYS)
    if draw(st.integers(0, 3)) == 0:
        return one, draw(DAYS)
    other = {label: usd + draw(NOISE) for label, usd in one.items() if draw(st.integers(0, 5))}
    return one, other


def _json(costs: dict[str, Decimal]) -> str:
    return json.dumps([{"label": label, "model": label, "usd": plain(usd)} for label, usd in costs.items()])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(pairs(), min_size=1, max_size=40))
async def test_sql_and_python_agree_on_any_two_days(
    ledger: LedgerHarness, days: list[tuple[dict[str, Decimal], dict[str, Decimal]]]
) -> None:
    rows = await ledger.sql(
        """SELECT same_costs(CAST(one AS jsonb), CAST(other AS jsonb)) AS same, same_costs(CAST(other AS jsonb),
               CAST(one AS jsonb)) AS swapped
           FROM unnest(CAST(:ones AS text[]), CAST(:others AS text[])) WITH ORDINALITY AS n(one, other, number)
           ORDER BY number""",
        ones=[_json(one) for one, _ in days],
        others=[_json(other) for _, other in days],
    )

    expected = [same_costs(one, other) for one, other in days]
    assert [row.same for row in rows] == [row.swapped for row in rows] == expected


async def _row(ledger: LedgerHarness) -> Any:
    (row,) = await ledger.sql("SELECT usd, reading_id, observed_at, said_since AS valid_from FROM days")
    return row


async def test_noise_makes_no_revision_and_the_newer_row_is_kept(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.record(team, {FIRST: {"a": "12345.6789012345"}})
    newer = await ledger.record(team, {FIRST: {"a": "12345.6789012350"}}, observed_at=later(1))

    row = await _row(ledger)
    assert await ledger.revisions() == []
    assert (row.usd, row.reading_id, row.valid_from) == (Decimal("12345.678901235"), newer.reading_id, later(0))


async def test_a_tick_makes_a_revision(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.record(team, {FIRST: {"a": "99.9999999998"}})
    await ledger.record(team, {FIRST: {"a": "99.9999999999"}}, observed_at=later(1))

    (revision,) = await ledger.revisions()
    assert (revision.usd, revision.valid_to, (await _row(ledger)).valid_from) == (
        Decimal("99.9999999998"),
        later(1),
        later(1),
    )


async def test_a_field_beside_the_amounts_makes_no_revision(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.record(team, {FIRST: {"a": "1.5", "b": "2"}})
    another = uuid4()
    await ledger.sql(
        """INSERT INTO label_lists SELECT :another, jsonb_agg(label || '{"family": "a"}')
           FROM days JOIN label_lists USING (labels_id), jsonb_array_elements(labels) label""",
        another=another,
    )
    await ledger.sql("UPDATE days SET labels_id = :another", another=another)

    reading = await ledger.record(team, {FIRST: {"b": "2.0", "a": "1.50"}}, observed_at=later(1))

    assert await ledger.revisions() == []
    await ledger.receive(reading.window)
    assert [one.days_changed for one in ledger.outcomes] == [0]


async def test_money_that_moves_between_labels_makes_a_revision(ledger: LedgerHarness, team: UUID) -> None:
    await ledger.record(team, {FIRST: {"a": "1", "b": "2"}})
    await ledger.record(team, {FIRST: {"a": "2", "b": "1"}}, observed_at=later(1))

    assert len(await ledger.revisions()) == 1


async def test_noise_of_large_amounts_that_nearly_cancel_each_other_makes_no_revision(
    ledger: LedgerHarness, team: UUID
) -> None:
    """Their sum differs by more than its own noise."""
    await ledger.record(team, {FIRST: {"a": "1000000000.0000001", "credit": "-999999999"}})
    await ledger.record(team, {FIRST: {"a": "1000000000", "credit": "-999999999"}}, observed_at=later(1))

    assert await ledger.revisions() == []


async def test_noise_of_a_sum_of_many_labels_makes_no_revision(ledger: LedgerHarness, team: UUID) -> None:
    labels = [f"label {number:02}" for number in range(50)]
    await ledger.record(team, {FIRST: dict.fromkeys(labels, "1000.000000001")})
    await ledger.record(team, {FIRST: dict.fromkeys(labels, "1000.000000002")}, observed_at=later(1))

    assert await ledger.revisions() == []
