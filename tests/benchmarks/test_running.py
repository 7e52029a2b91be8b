"""Each benchmark, once and tiny: it measures what it names, and refuses a run that did less than it should."""

import pytest

from benchmarks.ledger import REPLAYED, measure, steps
from benchmarks.support.stack import CURRENT

pytestmark = pytest.mark.system


async def test_the_ledger_stores_every_fact_and_a_replay_touches_no_row() -> None:
    report = await measure(steps(7200)[:1], 1, [CURRENT])
    fresh, replayed = report.rows
    assert fresh["ratio_to_e"]
    assert fresh["days_mb_per_million"]
    assert replayed["scenario"] == REPLAYED
    assert replayed["rows_touched"] == "0 written, none locked"
