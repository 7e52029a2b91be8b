"""Prometheus' own tool for rules, where it is installed."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed: Debian's package prometheus has it"
)


def promtool(folder: Path, action: str, data: dict[str, Any]) -> None:
    """Let it check or test what is written into a file; fails with its own words."""
    file = folder / "file.yaml"
    file.write_text(yaml.safe_dump(data))
    done = subprocess.run(  # noqa: S603 - a program of the system
        [str(PROMTOOL), action, "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
