"""What a fleet is measured with."""

import pytest
from common.errors import UserError

from benchmarks.fleet import scenarios


def test_more_calls_than_a_syncer_may_have_are_refused_before_anything_starts() -> None:
    with pytest.raises(UserError, match="at most"):
        scenarios([1, 100_000], defaults=False)


def test_default_settings_are_no_settings() -> None:
    *_, last = scenarios([1], defaults=True)
    assert last.settings == {}
