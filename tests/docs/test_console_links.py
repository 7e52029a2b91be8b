"""The programs of docs/console.md make links that the console accepts."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from console.links import VERSION, Right, check

from tests.support.node import NODE

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
SECRET = "obviously-fake-secret-of-a-test-0001"  # noqa: S105 - of a test
PROGRAMS = {
    "console_link.py": [sys.executable],
    "console_link.ts": [str(NODE), "--disable-warning=ExperimentalWarning"],
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("right", Right)
def test_the_programs_links_are_accepted(name: str, right: Right, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / name, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    environment = {
        "CONSOLE_URL": "https://costs.example.com",
        "CONSOLE_LINK_SECRET": SECRET,
        "PATH": os.environ["PATH"],
    }
    argv = [*PROGRAMS[name], str(tmp_path / name), "acme", right.value]
    printed = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout  # noqa: S603 - ours

    address = urlsplit(printed.strip())
    link = check(dict(parse_qsl(address.query)), [SECRET.encode()], datetime.now(UTC))
    assert (address.netloc, address.path) == ("costs.example.com", "/enter")
    assert (link.account_id, link.right) == ("acme", right)


def test_the_document_shows_the_text_that_is_signed() -> None:
    blocks = re.findall(r"```\n(.*?)\n```", (ROOT / "docs" / "console.md").read_text(), re.DOTALL)
    assert f"{VERSION}\nacme\nview\n1795870800\nY2F0LXNhdC1vbi1tYXQ" in blocks
