"""Ranges of days that services agree on: both ends included."""

from datetime import date

import pytest
from contract.fields import Plan
from contract.problems import CAUSES, Code
from contract.rules import READABLE_DAYS, backfill_from, readable_from

TODAY = date(2026, 11, 28)


def test_xai_answers_for_ninety_days_today_included() -> None:
    assert readable_from(TODAY) == date(2026, 8, 31)
    assert (TODAY - readable_from(TODAY)).days + 1 == 90


@pytest.mark.parametrize(("plan", "days"), [(Plan.FREE, 30), (Plan.PRO, 90), (Plan.ULTIMATE, 90)])
def test_a_plan_decides_how_far_the_history_reaches(plan: Plan, days: int) -> None:
    assert (TODAY - backfill_from(plan, TODAY)).days + 1 == days


def test_the_sentence_about_old_days_names_the_rule() -> None:
    assert f"the last {READABLE_DAYS} days" in CAUSES[Code.OUT_OF_RANGE].detail
