"""docker-compose.yml, as Docker Compose itself understands it."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from common.settings import Settings
from connector.settings import ConnectorSettings
from console.settings import ConsoleSettings
from grafient.migrate import MigrateSettings
from ledger.settings import LedgerSettings
from syncer.settings import SyncerSettings

from tests.support.commands import invoke

ROOT = Path(__file__).parents[2]
CADDYFILE = ROOT / "deploy" / "proxy" / "Caddyfile"
CADDY = shutil.which("caddy")
COMPOSE = Path(sys.executable).with_name("docker-compose")
OURS = ("connector", "syncer", "ledger", "console")
WATCHING = ("prometheus", "grafana")
PROFILES = {"simulator": "demo", "ops": "ops", "https": "https"} | dict.fromkeys(WATCHING, "monitoring")
OWN_USER = "kafka"  # the one image that brings a user of its own
SETTINGS: dict[str, type[Settings]] = {
    "connector": ConnectorSettings,
    "syncer": SyncerSettings,
    "ledger": LedgerSettings,
    "console": ConsoleSettings,
    "migrate": MigrateSettings,
}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [str(COMPOSE), "--project-directory", str(ROOT), "--env-file", os.devnull, "--profile", "*"]
    environment = {"HOME": str(tmp_path_factory.mktemp("home")), "PATH": os.environ["PATH"]}
    config = subprocess.run(  # noqa: S603 - our own venv's program
        [*command, "config", "--format", "json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert config.returncode == 0, config.stderr
    found: dict[str, Any] = json.loads(config.stdout)["services"]
    return found


def test_the_whole_system_is_there(services: dict[str, Any]) -> None:
    assert set(services) == {"kafka", "postgres", "migrate", "topics", *OURS, "cron", *PROFILES}
    assert {name: profile for name in services for profile in services[name].get("profiles", ())} == PROFILES


def test_nothing_runs_as_root_gains_a_right_or_writes_where_it_should_not(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert name == OWN_USER or service["user"].split(":")[0] not in ("0", "root"), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert int(service["mem_limit"]) > 0, name


def test_ports_are_open_to_this_machine_only(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", ())]

    assert published
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_a_service_starts_when_its_tables_and_topics_are_there_and_is_started_again(services: dict[str, Any]) -> None:
    for name in OURS:
        waits = {what: how["condition"] for what, how in services[name]["depends_on"].items()}
        assert set(waits.values()) == {"service_completed_successfully"}, name
        assert set(waits) == ({"migrate"} if name == "console" else {"migrate", "topics"}), name
        assert services[name]["restart"] == "unless-stopped", name
        assert services[name]["init"] is True, f"{name}: its health check could not end it"
    for name, needs in (("migrate", "postgres"), ("topics", "kafka")):
        assert services[name]["depends_on"][needs]["condition"] == "service_healthy"
        assert services[needs]["healthcheck"]["test"]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_service_is_given_all_settings_that_it_needs_and_none_that_it_does_not_know(
    services: dict[str, Any], name: str
) -> None:
    fields = SETTINGS[name].model_fields
    known = {str(field.validation_alias or one).upper() for one, field in fields.items()}
    needed = {one.upper() for one, field in fields.items() if field.is_required()}
    plain = services[name].get("environment") or {}
    as_settings = {secret["target"].rpartition("/")[2].upper() for secret in services[name]["secrets"]}
    folders = {path.rpartition("/")[0] for setting, path in plain.items() if setting.endswith("_FILE")}

    assert folders == {volume["target"] for volume in services[name].get("volumes", ())}
    assert plain.keys() | as_settings <= known
    assert needed <= plain.keys() | as_settings


def test_a_service_is_given_no_key_that_is_anothers(services: dict[str, Any]) -> None:
    given = {
        name: {volume["target"].rpartition("/")[2] for volume in service.get("volumes", ()) if volume["type"] == "bind"}
        for name, service in services.items()
    }
    assert all(volume["read_only"] for name in OURS for volume in services[name].get("volumes", ()))
    assert given == {name: set() for name in services} | {
        "connector": {"keyring", "sealing_key", "tokens"},
        "syncer": {"keyring"},
        "ledger": {"tokens"},
        "console": {"console_links"},
        "ops": {"keyring", "sealing_key", "tokens", "console_links"},
        "https": {"caddy", "data"},
        "prometheus": {"prometheus.yml", "rules.yaml"},
        "grafana": {"sources.yaml", "dashboards.yaml", "boards"},
    }


def test_no_secret_is_in_an_environment(services: dict[str, Any]) -> None:
    settings = {name for service in services.values() for name in (service.get("environment") or {})}

    assert not {name for name in settings if name.endswith(("PASSWORD", "DATABASE_URL", "KEYRING", "TOKENS"))}


def test_topics_are_made_by_the_command_and_never_by_a_broker(services: dict[str, Any]) -> None:
    assert services["topics"]["command"][:2] == ["topics", "apply"]
    assert services["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


COMMANDS = re.findall(r"^docker compose run --rm ops (.+)$", (ROOT / "docs" / "compose.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_document_are_commands(line: str) -> None:
    words = list(itertools.takewhile(lambda word: not word.startswith("-"), line.split()))
    command = next(words[:length] for length in (2, 1) if invoke(*words[:length], "--help").status == 0)
    options = {option for option in line.split() if option.startswith("--")}

    assert options <= set(re.findall(r"--[a-z-]+", invoke(*command, "--help").stdout))


def test_operators_commands_are_given_every_setting_that_a_document_asks_for(services: dict[str, Any]) -> None:
    ops = services["ops"]
    given = ops["environment"].keys() | {secret["target"].rpartition("/")[2].upper() for secret in ops["secrets"]}
    table = (ROOT / "docs" / "operations.md").read_text().split("| command | needs |")[1].split("\n\n")[0]
    asked = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", table))

    assert asked
    assert asked <= given
    assert not ops.get("depends_on"), "a command runs whatever else does"


def test_the_proxy_leads_to_what_customers_and_programs_use_only() -> None:
    proxied = re.findall(r"reverse_proxy (\w+):(\d+)", CADDYFILE.read_text())

    assert proxied == [("console", "8004"), ("connector", "8001"), ("ledger", "8003")]


@pytest.mark.skipif(CADDY is None, reason="Caddy is not installed: Debian's package caddy has it")
def test_caddy_reads_its_file(services: dict[str, Any], tmp_path: Path) -> None:
    environment = {name: str(value) for name, value in services["https"]["environment"].items()}
    done = subprocess.run(  # noqa: S603 - a program of the system
        [str(CADDY), "adapt", "--validate", "--config", str(CADDYFILE)],
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
