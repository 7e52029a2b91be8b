"""The address of a page names what it shows, and nothing else does."""

from datetime import date, timedelta
from uuid import UUID

import httpx
import pytest
from console.domain import LONGEST, PERIODS, Chart, Compare, View, ViewError
from hypothesis import given
from hypothesis import strategies as st

DAYS = st.dates(date(2020, 1, 1), date(2030, 1, 1))
RANGES = st.builds(lambda first, length: (first, first + timedelta(days=length)), DAYS, st.integers(0, LONGEST - 1))
VIEWS = st.one_of(
    st.builds(
        View,
        period=st.sampled_from(list(PERIODS)),
        integration=st.none() | st.uuids(),
        compare=st.sampled_from(Compare),
    ),
    st.builds(lambda days, chart: View().to(first=days[0], last=days[1], chart=chart), RANGES, st.sampled_from(Chart)),
)


@given(VIEWS)
def test_an_address_leads_back_to_the_view_that_it_was_made_of(view: View) -> None:
    assert View.of(httpx.QueryParams(view.query.removeprefix("?"))) == view


def test_defaults_are_left_out() -> None:
    assert View.of({}).query == ""
    assert View.of({}).to(period="7d").query == "?period=7d"


def test_a_period_replaces_a_range_and_the_other_way_round() -> None:
    ranged = View().to(first=date(2026, 11, 1), last=date(2026, 11, 2))
    assert ranged.query == "?from=2026-11-01&to=2026-11-02"
    assert ranged.to(period="7d").query == "?period=7d"


def test_reports_are_about_the_same_days() -> None:
    one = UUID(int=1)
    assert View(integration=one).days == {"period": "30d", "from": None, "to": None, "integration_id": str(one)}


@pytest.mark.parametrize(
    "query",
    [
        {"period": "3d"},
        {"from": "2026-11-01"},
        {"from": "2026-11-02", "to": "2026-11-01"},
        {"from": "2020-01-01", "to": "2026-01-01"},
        {"from": "yesterday", "to": "today"},
        {"integration": "mine"},
        {"chart": "pie"},
        {"compare": "mars"},
    ],
)
def test_what_no_page_can_show_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(ViewError):
        View.of(query)
