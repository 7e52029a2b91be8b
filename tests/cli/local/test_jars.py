import hashlib
from pathlib import Path

import pytest
from grafient.local import fetch, jars, startup_cache
from grafient.local.errors import FetchError

RIGHT = b"a jar"
NAME = "kafka-of-the-test.jar"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; the list of jars has one."""
    monkeypatch.setenv("GRAFIENT_CACHE", str(tmp_path))
    monkeypatch.setattr(jars, "expected", lambda: {NAME: hashlib.sha256(RIGHT).hexdigest()})
    monkeypatch.setattr(fetch, "expected", jars.expected)
    monkeypatch.setattr(startup_cache, "path", lambda: Path(__file__))  # it is made by another test
    return tmp_path


def _comes(monkeypatch: pytest.MonkeyPatch, *answers: bytes | Exception) -> list[Path]:
    """What each try brings; the list is of the folders that were tried."""
    left, tried = list(answers), []

    def resolved(folder: Path, _watchdog: object) -> dict[str, Path]:
        tried.append(folder)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        folder.mkdir()
        (folder / NAME).write_bytes(answer)
        return {NAME: folder / NAME}

    monkeypatch.setattr(jars, "_resolved", resolved)
    return tried


def _has(content: bytes) -> Path:
    jars.jars_dir().mkdir()
    jar = jars.jars_dir() / NAME
    jar.write_bytes(content)
    return jar


def test_every_committed_hash_is_of_one_jar() -> None:
    lines = Path(jars.__file__).with_name("jars.sha256").read_text().splitlines()

    assert len({line.split("  ")[1] for line in lines}) == len(lines)
    assert f"kafka_2.13-{jars.KAFKA_VERSION}.jar" in {line.split("  ")[1] for line in lines}


def test_a_tampered_jar_is_refused_by_name_and_with_the_next_step() -> None:
    jar = _has(b"something else")

    for refuses in (jars.classpath, jars.fetch):
        with pytest.raises(FetchError, match=rf"{jar} is not the expected file: delete it and run `make install`"):
            refuses()


def test_jars_in_the_cache_need_no_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    jar, tried = _has(RIGHT), _comes(monkeypatch)

    assert fetch.main() == 0
    assert jars.classpath() == str(jar)
    assert tried == []
    assert capsys.readouterr().err == f"Apache Kafka {jars.KAFKA_VERSION} is here\n"


def test_fetched_jars_are_kept_and_nothing_else(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    _comes(monkeypatch, RIGHT)

    assert fetch.main() == 0
    assert jars.present()
    assert [path.name for path in cache.iterdir()] == [jars.jars_dir().name]


def test_a_download_that_breaks_off_begins_again_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = _comes(monkeypatch, OSError("reset"), RIGHT)

    jars.fetch()

    assert jars.present()
    assert len(set(tried)) == 2


def test_no_network_ends_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    _comes(monkeypatch, *[OSError("no route")] * jars.TRIES)

    assert fetch.main() == 1
    assert "could not be fetched (OSError): check the network and run" in capsys.readouterr().err
    assert list(cache.iterdir()) == []


def test_a_jar_that_came_wrong_is_not_kept(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    _comes(monkeypatch, b"something else")

    with pytest.raises(FetchError, match=f"{NAME} is not as listed"):
        jars.fetch()
    assert list(cache.iterdir()) == []


def test_a_missing_jar_is_named() -> None:
    with pytest.raises(FetchError, match=rf"{NAME} is missing from .*: run `make install` with a network"):
        jars.classpath()


def test_a_cache_that_cannot_be_written_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "file").touch()
    monkeypatch.setenv("GRAFIENT_CACHE", str(cache / "file" / "folder"))

    with pytest.raises(FetchError, match=r"cannot be written .* set GRAFIENT_CACHE"):
        jars.fetch()
