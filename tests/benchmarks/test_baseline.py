"""A baseline is a commit of this repository."""

import pytest
from common.errors import UserError

from benchmarks.support.baseline import installed


async def test_a_commit_that_does_not_exist_is_refused_and_leaves_nothing() -> None:
    with pytest.raises(UserError, match="no-such-commit"):
        async with installed("no-such-commit"):
            raise AssertionError
