"""The chart, as Helm renders it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy" / "chart"
HELM = ROOT / ".tools" / "bin" / "helm"
OVERLAYS = {
    "minimal": ("minimal",),
    "production": ("production",),
    "high-availability": ("production", "high-availability"),
}
"""By size: the files of values that make it."""
SERVICES = ("connector", "syncer", "ledger", "console")

needs_helm = pytest.mark.skipif(not HELM.exists(), reason="run `make helm` once: it builds what renders the chart")
Manifest = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the program that `make helm` built
        [str(HELM), *arguments, "--kube-version=1.31.0"], capture_output=True, text=True, timeout=60, check=False
    )


def values_of(size: str) -> list[str]:
    """Helm's options for the files of a size."""
    return [f"--values={CHART / 'overlays' / name}.yaml" for name in OVERLAYS[size]]


def rendered(size: str, *options: str) -> list[Manifest]:
    """Everything that is installed, hooks included."""
    done = helm("template", "grafient", str(CHART), *values_of(size), *options)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """By component: the specification of its pods."""
    return {component(one): one["spec"]["template"]["spec"] for one in manifests if "template" in one.get("spec", {})}


def component(manifest: Manifest) -> str:
    return str(manifest["metadata"]["labels"]["app.kubernetes.io/component"])


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """By component."""
    return {component(one): one for one in manifests if one["kind"] == kind}


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return found
