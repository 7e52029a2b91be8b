"""The rules of an integration, without anything around them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from connector.domain import (
    Health,
    Outcome,
    beyond_after,
    covered,
    default_label,
    health_after,
    health_with_new_key,
    hints,
    history_behind,
    next_sync,
)
from contract.fields import Status
from contract.problems import Code

TEAM = "3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"
HEALTHY = Health(Status.ACTIVE, None)
COMPLETED = Outcome(None, final=True, credential_version=2)


@pytest.mark.parametrize("status", [Status.BACKFILLING, Status.ACTIVE, Status.ERROR])
def test_a_success_is_active_once_the_history_is_filled_in(status: Status) -> None:
    before = Health(status, None)

    assert health_after(before, COMPLETED, 2, filled_in=True) == Health(Status.ACTIVE, None)
    assert health_after(before, COMPLETED, 2, filled_in=False) == Health(Status.BACKFILLING, None)


def test_no_outcome_changes_a_removed_integration() -> None:
    removed = Health(Status.REMOVED, None)

    assert health_after(removed, COMPLETED, 2, filled_in=True) == removed


@pytest.mark.parametrize("code", [Code.KEY_REFUSED, Code.ACCESS_DENIED, Code.TEAM_UNKNOWN])
def test_a_refusal_counts_for_the_current_key_only(code: Code) -> None:
    active = Health(Status.ACTIVE, None)

    assert health_after(active, Outcome(code, final=True, credential_version=1), 2, filled_in=True) == active
    current = health_after(active, Outcome(code, final=True, credential_version=2), 2, filled_in=True)
    assert current == Health(Status.ERROR, code)


def test_a_key_that_we_cannot_open_needs_attention_until_it_is_read_with() -> None:
    active = Health(Status.ACTIVE, None)
    unavailable = Outcome(Code.KEY_UNAVAILABLE, final=False, credential_version=2)

    after = health_after(active, unavailable, 2, filled_in=True)

    assert after == Health(Status.ERROR, Code.KEY_UNAVAILABLE)
    assert health_after(after, COMPLETED, 2, filled_in=True) == active
    assert health_after(active, unavailable, 3, filled_in=True) == active


def test_a_failure_that_is_retried_shows_but_does_not_hide_a_refusal() -> None:
    retried = Outcome(Code.RATE_LIMITED, final=False, credential_version=2)
    refused = Health(Status.ERROR, Code.KEY_REFUSED)

    assert health_after(Health(Status.ACTIVE, None), retried, 2, filled_in=False) == Health(
        Status.ACTIVE, Code.RATE_LIMITED
    )
    assert health_after(refused, retried, 2, filled_in=False) == refused


def test_a_default_label_is_the_accounts_only_one() -> None:
    assert default_label(TEAM, []) == "xAI team 3f2b8c1e"
    assert default_label(TEAM, ["xAI team 3f2b8c1e", "xAI team 3f2b8c1e (2)"]) == "xAI team 3f2b8c1e (3)"


@pytest.mark.parametrize(
    ("now", "then"), [("05:59:59", "20T06:00"), ("06:00:00", "21T06:00"), ("23:00:00", "21T06:00")]
)
def test_the_next_sync_is_at_six(now: str, then: str) -> None:
    at = datetime.fromisoformat(f"2026-11-20T{now}+00:00")

    assert next_sync(HEALTHY, at, at) == datetime.fromisoformat(f"2026-11-{then}").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("health", "days", "comes"),
    [
        (Health(Status.ERROR, Code.KEY_REFUSED), 5, True),
        (Health(Status.ERROR, Code.KEY_REFUSED), 7, False),
        (Health(Status.ERROR, Code.XAI_UNAVAILABLE), 7, True),
        (Health(Status.REMOVED, None), 0, False),
    ],
)
def test_a_next_sync_is_shown_only_where_it_is_automatic(health: Health, days: int, comes: bool) -> None:  # noqa: FBT001 - a parameter
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)

    assert (next_sync(health, now - timedelta(days=days), now) is not None) is comes


@pytest.mark.parametrize("code", [None, Code.KEY_REFUSED, Code.XAI_UNAVAILABLE, Code.ANSWER_UNREADABLE])
def test_a_key_that_passed_its_test_clears_the_error(code: Code | None) -> None:
    assert health_with_new_key(code, filled_in=True) == HEALTHY
    assert health_with_new_key(code, filled_in=False) == Health(Status.BACKFILLING, None)


def test_a_new_key_does_not_clear_figures_that_do_not_add_up() -> None:
    assert health_with_new_key(Code.NOT_RECONCILED, filled_in=True) == Health(Status.ERROR, Code.NOT_RECONCILED)


def test_hints_name_what_was_mixed_up_and_never_a_value() -> None:
    assert hints("obviously-fake", Code.KEY_REFUSED) == []
    found = [*hints(TEAM, Code.TEAM_UNKNOWN), *hints("xai-obviously-fake", Code.KEY_REFUSED)]
    assert ["swapped" in hint for hint in found] == [True, False]
    assert not any(TEAM in hint or "obviously-fake" in hint for hint in found)


def test_missing_days_split_what_is_covered() -> None:
    days = [date(2026, 11, number) for number in range(1, 6)]

    assert covered(days[0], days[4], []) == [(days[0], days[4])]
    assert covered(days[0], days[4], [days[0], days[2]]) == [(days[1], days[1]), (days[3], days[4])]
    assert covered(days[0], days[0], [days[0]]) == []


DAY = date(2026, 11, 1)
ONE = timedelta(days=1)


@pytest.mark.parametrize(
    ("before", "refused", "newest", "after"),
    [
        (None, None, True, None),
        (None, DAY - ONE, True, DAY - ONE),
        (DAY + 9 * ONE, DAY - ONE, True, DAY - ONE),
        (DAY + 9 * ONE, DAY - ONE, False, DAY + 9 * ONE),
        (DAY, None, True, DAY - ONE),
        (DAY, None, False, DAY),
        (DAY - 9 * ONE, None, True, DAY - 9 * ONE),
    ],
)
def test_a_reading_decides_up_to_which_day_xai_refuses(
    before: date | None,
    refused: date | None,
    newest: bool,  # noqa: FBT001 - a parameter
    after: date | None,
) -> None:
    assert beyond_after(before, DAY, refused, newest=newest) == after


@pytest.mark.parametrize(
    ("first_read", "begins"), [(None, DAY + ONE), (DAY + 5 * ONE, DAY + ONE), (DAY - 3 * ONE, DAY - 3 * ONE)]
)
def test_a_history_begins_behind_what_xai_refuses_and_never_behind_a_day_that_was_read(
    first_read: date | None, begins: date
) -> None:
    assert history_behind(DAY - 30 * ONE, DAY, first_read) == begins
    assert history_behind(DAY + 30 * ONE, DAY, first_read) == DAY + 30 * ONE
