"""A profile is taken of one process, where it was requested."""

import os
from pathlib import Path

import pytest
from common.errors import UserError

from benchmarks.support.profiling import REQUESTED, Request, profiled


async def test_nothing_is_sampled_without_a_request() -> None:
    async with profiled({}):
        pass


async def test_a_service_that_does_not_run_is_named(tmp_path: Path) -> None:
    token = REQUESTED.set(Request("syncer", tmp_path / "profile.svg"))
    with pytest.raises(UserError, match="syncer does not run here"):
        async with profiled({"ledger": os.getpid()}):
            raise AssertionError
    REQUESTED.reset(token)


async def test_a_profile_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    output = tmp_path / "profile.svg"
    output.write_text("first")
    token = REQUESTED.set(Request("syncer", output))
    async with profiled({"syncer": 0}):
        pass
    REQUESTED.reset(token)
    assert output.read_text() == "first"
