"""Pages of days: cut between days, none twice and none left out."""

from datetime import date, timedelta

import pytest
from contract.problems import ProblemError
from hypothesis import given
from hypothesis import strategies as st
from ledger.pages import Page

TODAY = date(2026, 11, 20)
LAST_MONTH = date(2026, 10, 22)


def test_the_last_30_days_are_on_the_page_that_nobody_limited() -> None:
    page = Page.of(None, None, None, TODAY)

    assert (page.first, page.last, page.next_cursor) == (LAST_MONTH, TODAY, None)


@given(st.integers(1, 400), st.integers(1, 500), st.none() | st.integers(1, 500))
def test_pages_follow_each_other_to_the_last_day(days: int, limit: int, other_limit: int | None) -> None:
    first, shown = TODAY - timedelta(days=days - 1), list[date]()
    page = Page.of(first, TODAY, None, TODAY).limited(limit).limited(other_limit)
    while True:
        shown += [page.first + timedelta(days=number) for number in range((page.last - page.first).days + 1)]
        if page.next_cursor is None:
            break
        page = Page.of(first, TODAY, page.next_cursor, TODAY).limited(limit).limited(other_limit)

    assert shown == [first + timedelta(days=number) for number in range(days)]


@pytest.mark.parametrize("cursor", ["2026-11-02.2026-11-01", "2026-11-31.2026-11-20", "2026-10-01.2026-11-20"])
def test_a_cursor_of_no_page_of_these_days_is_refused(cursor: str) -> None:
    with pytest.raises(ProblemError):
        Page.of(LAST_MONTH, TODAY, cursor, TODAY)
