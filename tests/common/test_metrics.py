"""A fresh process exports every series that an alert reads, at 0: a rate needs a sample from before the first event."""

import ast
import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import pytest
from common.kafka.placement import NEXT_STEPS
from contract.access import ACCESS
from contract.cloudevents import REASONS
from contract.fields import Trigger
from contract.messages import COMMANDS
from contract.rules import XAI_CODES
from contract.topics import COSTS
from prometheus_client.parser import text_string_to_metric_families
from syncer.guard import Kind

ROOT = Path(__file__).parents[2]
SHOW = """
import asyncio, importlib, sys
import httpx
from common.settings import load

async def show(service):
    settings = load(getattr(importlib.import_module(f"{service}.settings"), f"{service.title()}Settings"))
    app = importlib.import_module(f"{service}.app").create_app(settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        print((await client.get("/metrics")).text)

asyncio.run(show(sys.argv[1]))
"""
Series = tuple[str, frozenset[tuple[str, str]]]
NONE: Mapping[str, list[str]] = {}
OF_CALLS = [*(code.value for code in XAI_CODES), "key_unavailable", "internal"]
TOKENS, KEYRING, SEALING_KEY, LINKS = "tokens.json", "keyring.json", "sealing_key.json", "console_links"
REFUSED = [
    *("token_refused", "too_many_requests", "request_too_large", "request_too_slow"),
    *("unavailable", "internal"),
]
SERIES: dict[str, dict[str, Mapping[str, list[str]]]] = {
    "connector": {
        "grafient_commands_ended_total": {
            "type": [*(one.__name__ for one in COMMANDS), "unread"],
            "outcome": [
                "done",
                "key_refused",
                "xai_unavailable",
                "unsealable",
                "expired",
                "request_malformed",
                "internal",
            ],
        },
        "grafient_streams_listening": NONE,
        "grafient_refusals_total": {"of": ["request"], "code": REFUSED},
        "grafient_backlog_age_seconds": {"queue": ["commands", "states", "results"]},
        "grafient_file_unusable": {"file": [TOKENS, KEYRING, SEALING_KEY]},
    },
    "syncer": {
        "grafient_xai_calls_total": {"outcome": ["ok", *OF_CALLS]},
        "grafient_xai_circuit_open": {"kind": ["outage", "refusals"]},
        "grafient_xai_answers_other_days": NONE,
        "grafient_windows_total": {
            "trigger": list(Trigger),
            "outcome": ["read", *OF_CALLS, "answer_questioned", "not_found"],
        },
        "grafient_windows_waiting_for_key": NONE,
        "grafient_credentials_unavailable": NONE,
        "grafient_oldest_uncovered_day_seconds": NONE,
        "grafient_unreconciled_days": NONE,
        "grafient_refusals_total": {"of": ["window"], "code": [*OF_CALLS, "answer_questioned", "not_found"]},
        "grafient_backlog_age_seconds": {"queue": ["windows"]},
        "grafient_questioned_days": {"kind": list(Kind), "waits_for": ["xai", "operator"]},
        "grafient_file_unusable": {"file": [KEYRING]},
    },
    "ledger": {
        "grafient_ledger_days_total": {"outcome": ["applied", "older"]},
        "grafient_backlog_age_seconds": {"queue": [COSTS.name]},
        "grafient_refusals_total": {"of": ["request"], "code": REFUSED},
        "grafient_file_unusable": {"file": [TOKENS]},
    },
    "console": {
        "grafient_console_links_total": {"outcome": ["opened", "forged", "expired", "too_long", "used"]},
        "grafient_file_unusable": {"file": [LINKS]},
    },
}
"""What each service exports, beside the series of its topics."""


def _expected(service: str) -> Iterator[Series]:
    for name, values in SERIES[service].items():
        yield from _each(name, values)
    if service not in ACCESS:
        return
    for topic in ACCESS[service].reads:
        of_topic = {"topic": [topic.name]}
        for name in ("stopped", "partitions", "unsteady"):
            yield from _each(f"grafient_consumer_{name}", of_topic)
        yield from _each("grafient_backlog_age_seconds", {"queue": [topic.name]})
        yield from _each("grafient_records_misplaced_total", of_topic | {"why": list(NEXT_STEPS)})
        yield from _each("grafient_messages_dead_lettered_total", of_topic | {"reason": [*REASONS, "handler_failed"]})
        yield from _each(
            "grafient_messages_handled_total", of_topic | {"outcome": ["handled", "dead_lettered", "waits", "failed"]}
        )
    for topic in ACCESS[service].writes:
        yield from _each("grafient_messages_published_total", {"topic": [topic.name], "type": list(topic.types)})


def _each(name: str, values: Mapping[str, list[str]]) -> Iterator[Series]:
    """Every combination of the label values."""
    for combination in product(*values.values()):
        yield name, frozenset(zip(values, combination, strict=True))


def _exported(service: str, folder: Path) -> dict[Series, float]:
    """What a process that was just built exports."""
    key = b64encode(bytes(range(32))).decode()
    for name in (KEYRING, SEALING_KEY):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(json.dumps({"current": "one", "keys": {"one": key}}))
    (folder / TOKENS).write_text('{"tokens": []}')
    (folder / LINKS).touch(mode=0o600)
    (folder / LINKS).write_text("obviously-fake-secret-of-a-test-0001")
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/none",
        "KEYRING_FILE": str(folder / KEYRING),
        "SEALING_KEY_FILE": str(folder / SEALING_KEY),
        "API_TOKENS_FILE": str(folder / TOKENS),
        "CONSOLE_CONNECTOR_URL": "http://127.0.0.1:9",
        "CONSOLE_LEDGER_URL": "http://127.0.0.1:9",
        "CONSOLE_API_TOKEN": "obviously-fake",
        "CONSOLE_LINK_SECRETS_FILE": str(folder / LINKS),
    }
    argv = [sys.executable, "-c", SHOW, service]
    shown = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout  # noqa: S603 - it is ours
    families = text_string_to_metric_families(shown)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


@pytest.mark.parametrize("service", SERIES)
def test_a_fresh_process_exports_what_alerts_read(service: str, tmp_path: Path) -> None:
    exported, expected = _exported(service, tmp_path), set(_expected(service))

    assert sorted(str(one) for one in expected - exported.keys()) == []
    names = {name for other, series in SERIES.items() if other != service for name in series} - SERIES[service].keys()
    assert names & {name for name, _ in exported} == set(), "series of other services"
    assert {one: value for one, value in exported.items() if one in expected and value} == {}


def test_every_reason_of_a_dead_letter_is_declared() -> None:
    used = {
        call.args[0].value
        for path in [*ROOT.glob("libs/*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "MalformedError"
        if isinstance(call.args[0], ast.Constant)
    }

    assert used == set(REASONS)
