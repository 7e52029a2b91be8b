import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HADOLINT = Path(sys.executable).with_name("hadolint")
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def test_the_recipe_of_the_images_has_no_known_fault() -> None:
    found = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own venv's program

    assert (found.returncode, found.stdout) == (0, "")


def test_images_do_not_run_as_root() -> None:
    users = [line.split()[1] for line in DOCKERFILE.read_text().splitlines() if line.startswith("USER ")]

    assert users == ["10001:10001"]


def test_nothing_but_locks_sources_and_the_health_check_reaches_a_build() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]

    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == {
        "deploy/requirements.lock",
        "deploy/build.lock",
        "deploy/healthcheck.py",
        "libs",
        "services",
        "tools",
    }
