import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import healthcheck
import pytest


@contextmanager
def service(*statuses: int) -> Iterator[int]:
    """The port of a service whose `/livez` answers these, then the last one again and again."""
    left = list(statuses)

    class Livez(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Livez) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(healthcheck, "PAUSE", 0.0)
    monkeypatch.setattr(healthcheck, "TIMEOUT", 0.2)
    return []


def look(port: int, killed: list[str]) -> int:
    return healthcheck.check(port, lambda: killed.append("service"))


def test_a_service_that_makes_progress_is_well(killed: list[str]) -> None:
    with service(200) as port:
        assert look(port, killed) == 0
    assert not killed


def test_a_service_that_is_slow_once_is_left_alone(killed: list[str]) -> None:
    with service(503, 503, 200) as port:
        assert look(port, killed) == 0
    assert not killed


def test_a_service_that_stays_stuck_is_killed(killed: list[str]) -> None:
    with service(503) as port:
        assert look(port, killed) == 1
    assert killed == ["service"]


def test_a_service_that_answers_nothing_at_all_is_killed(killed: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert look(silent.getsockname()[1], killed) == 1
    assert killed == ["service"]


def test_a_service_that_is_still_starting_is_not_killed(killed: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    assert look(port, killed) == 1
    assert not killed
