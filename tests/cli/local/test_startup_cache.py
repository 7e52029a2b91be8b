import asyncio
from pathlib import Path

import pytest
from grafient.local import fetch, jars, startup_cache
from grafient.local.errors import StartError

TOOL = ("kafka.tools.StorageTool", "random-uuid")
REQUIRED = "-XX:AOTMode=on"
"""A JVM that cannot use its cache ends."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the cache of this test would be."""
    path = tmp_path / "startup.aot"
    monkeypatch.setattr(startup_cache, "path", lambda: path)
    return path


async def _run(*options: str) -> int:
    java, *others = startup_cache.java()
    process = await asyncio.create_subprocess_exec(java, *options, *others, *TOOL, stdout=asyncio.subprocess.DEVNULL)
    return await process.wait()


async def test_what_was_prepared_at_the_installation_is_used() -> None:
    assert startup_cache.path().is_file()

    assert await _run(REQUIRED) == 0


async def test_a_damaged_cache_keeps_nothing_from_starting(cache: Path) -> None:
    cache.write_bytes(b"something else")

    assert await _run(REQUIRED) != 0
    assert await _run() == 0


async def test_notes_that_are_missing_make_no_cache(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="could not be prepared"):
        await startup_cache.create(tmp_path / "none")

    assert not cache.exists()


def test_other_options_of_the_jvm_have_another_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    before = startup_cache.path()
    monkeypatch.setattr(startup_cache, "JVM", (*startup_cache.JVM, "-Xmx512m"))

    assert startup_cache.path() != before
    assert startup_cache.path().parent == before.parent == jars.jars_dir()


def test_a_start_that_cannot_be_prepared_is_only_slower(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fails() -> None:
        raise StartError("Kafka's start could not be prepared")

    monkeypatch.setattr(fetch, "prepare_start", fails)

    assert fetch.main() == 0
    assert "It will start more slowly." in capsys.readouterr().err
    assert not cache.exists()
