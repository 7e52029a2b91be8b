"""Links that an operator makes are the ones that the console accepts."""

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from console.links import Right, check

from tests.support.commands import invoke

SECRET = "obviously-fake-secret-of-a-test-0001"  # noqa: S105 - of a test


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "links"
    file.touch(mode=0o600)
    file.write_text(SECRET)
    monkeypatch.setenv("CONSOLE_LINK_SECRETS_FILE", str(file))
    monkeypatch.setenv("CONSOLE_URL", "https://costs.example.com")


def test_a_link_opens_the_account_that_it_was_made_for() -> None:
    made = invoke("console", "link", "--account", "acme", "--manage", "--expires", "5m", "--json").json()

    address = urlsplit(made["url"])
    assert (address.scheme, address.netloc, address.path) == ("https", "costs.example.com", "/enter")
    link = check(dict(parse_qsl(address.query)), [SECRET.encode()], datetime.now(UTC))
    assert (link.account_id, link.right) == ("acme", Right.MANAGE)


def test_without_json_the_link_is_all_that_is_printed() -> None:
    printed = invoke("console", "link", "--account", "acme").stdout

    assert printed.startswith("https://costs.example.com/enter?account=acme&right=view&")
    assert printed.count("\n") == 1


@pytest.mark.parametrize("expires", ["16m", "1h", "0m", "soon"])
def test_a_link_is_never_valid_for_longer_than_15_minutes(expires: str) -> None:
    refused = invoke("console", "link", "--account", "acme", "--expires", expires)

    assert (refused.status, "use 1m to 15m" in refused.stderr) == (2, True)
