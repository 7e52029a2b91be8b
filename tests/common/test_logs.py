import json
import logging
import sys
import warnings
from collections.abc import Iterator

import pytest
import structlog
from common.logs import CHATTY, configure
from faststream.kafka import KafkaBroker

from tests.support.logging_state import logging_as_it_was

KEY = "obviously-a-fake-key"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    with logging_as_it_was():
        yield


class Stdout:
    """All that was printed to stdout in this test so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capsys.readouterr().out
        return self._text


@pytest.fixture
def stdout(capsys: pytest.CaptureFixture[str]) -> Stdout:
    return Stdout(capsys)


def lines(stdout: Stdout) -> list[dict[str, object]]:
    return [json.loads(line) for line in stdout.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_its_fields(stdout: Stdout) -> None:
    configure("syncer", "info")
    structlog.get_logger("worker").info("window.read", integration_id="i", days=8, label="two\nlines")
    (line,) = lines(stdout)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "window.read",
        "integration_id": "i",
        "days": 8,
        "label": "two\nlines",
        "level": "info",
        "logger": "worker",
        "service": "syncer",
    }


def test_the_standard_library_logs_the_same_way(stdout: Stdout) -> None:
    configure("syncer")
    logging.getLogger("anything").warning("took %s with Bearer %s", 3, KEY, extra={"token": KEY, "team_id": "t"})
    (line,) = lines(stdout)
    assert (line["event"], line["level"], line["service"]) == ("took 3 with Bearer [redacted]", "warning", "syncer")
    assert (line["token"], line["team_id"]) == ("[redacted]", "t")


def test_the_level_is_obeyed(stdout: Stdout) -> None:
    configure("syncer", "WARNING")
    structlog.get_logger().info("not.shown")
    logging.getLogger("anything").info("not.shown")
    structlog.get_logger().warning("shown")
    assert [line["event"] for line in lines(stdout)] == ["shown"]


@pytest.mark.parametrize("level", ["", "LOUD", "10", "NOTSET"])
def test_a_level_that_is_none_is_refused(level: str) -> None:
    with pytest.raises(ValueError, match="log level"):
        configure("syncer", level)


@pytest.mark.parametrize("library", CHATTY)
def test_libraries_are_logged_from_warnings_on_and_in_json(stdout: Stdout, library: str) -> None:
    KafkaBroker("127.0.0.1:9")
    configure("syncer", "DEBUG")
    logging.getLogger(library).info("HTTP Request: POST https://xai.test/v1/billing/teams/t/usage")
    logging.getLogger(library).warning("a warning")
    assert [line["event"] for line in lines(stdout)] == ["a warning"]


def test_an_exception_is_rendered_without_locals_and_without_secrets(stdout: Stdout) -> None:
    configure("syncer")

    def fail(hidden: str) -> None:
        raise ValueError(f"refused {len(hidden)} Bearer {KEY} of postgres://user:{KEY}@db")

    try:
        fail(chr(10).join(["a", "local", "value"]).replace(chr(10), "-"))
    except ValueError:
        structlog.get_logger().exception("call.failed")
        logging.getLogger("anything").exception("call.failed")
    for line in lines(stdout):
        text = str(line["exception"])
        assert "Traceback" in text
        assert "ValueError: refused 13 Bearer [redacted] of postgres://user:[redacted]@db" in text
    assert len(lines(stdout)) == 2
    assert KEY not in stdout.getvalue()
    assert "a-local-value" not in stdout.getvalue()


def test_a_repeated_error_is_one_line_and_then_its_number(stdout: Stdout) -> None:
    configure("syncer")
    for tries in range(3):
        structlog.get_logger("loops").error("relay.failed", error="KafkaError", tries=tries)
        logging.getLogger("aiokafka.conn").error("no connection to %s with token=%s", tries, KEY)
    assert len(lines(stdout)) == 2

    logging.getLogger().handlers[0].close()
    ours, library = lines(stdout)[2:]
    for line in (ours, library):
        assert (line["repeated"], line["seconds"], line["service"], line["level"]) == (2, 0, "syncer", "error")
    assert (ours["event"], ours["logger"]) == ("relay.failed", "loops")
    assert (library["event"], library["logger"]) == ("no connection to %s with token=[redacted]", "aiokafka.conn")


def test_an_endless_exception_is_bounded(stdout: Stdout) -> None:
    configure("syncer")

    def again(depth: int) -> None:
        if not depth:
            raise ValueError("x" * 100_000 + " the end")
        again(depth - 1)

    try:
        again(300)
    except ValueError:
        structlog.get_logger().exception("call.failed")
    assert len(stdout.getvalue()) < 6000
    assert "the end" in stdout.getvalue()


def test_a_crash_is_logged_without_secrets(stdout: Stdout) -> None:
    configure("syncer")
    error = RuntimeError(f"password={KEY}")
    sys.excepthook(RuntimeError, error, None)
    (line,) = lines(stdout)
    assert (line["event"], line["level"]) == ("process.crashed", "critical")
    assert KEY not in stdout.getvalue()


def test_warnings_are_logged(stdout: Stdout) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure("syncer")
        warnings.warn("something is old", stacklevel=1)
    assert "something is old" in str(lines(stdout)[0]["event"])


def test_fields_bound_to_the_context_are_in_every_line(stdout: Stdout) -> None:
    configure("syncer")
    with structlog.contextvars.bound_contextvars(reading_id="r"):
        structlog.get_logger().info("one")
        logging.getLogger("anything").info("two")
    assert [line["reading_id"] for line in lines(stdout)] == ["r", "r"]


def test_a_terminal_gets_lines_for_people(stdout: Stdout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    configure("syncer")
    structlog.get_logger().error("call.failed", token=KEY, team_id="t", exc_info=ValueError(f"token={KEY}"))
    assert "call.failed" in stdout.getvalue()
    assert "ValueError" in stdout.getvalue()
    assert not stdout.getvalue().startswith("{")
    assert KEY not in stdout.getvalue()


def test_a_line_that_cannot_be_formatted_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    configure("syncer")
    logging.getLogger("anything").warning("%d", KEY)
    assert KEY not in "".join(capsys.readouterr())
