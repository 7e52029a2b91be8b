"""A command that opens keys hardens its process before it reads one."""

import pytest
from grafient.keys import commands as keys
from grafient.reconcile import commands as reconcile

from tests.support.commands import invoke

NOWHERE = {
    "DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "KEYRING_FILE": "/none",
    "SEALING_KEY_FILE": "/none",
}


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("keys list", keys),
        ("keys check", keys),
        ("keys rewrap", keys),
        ("keys drop a --sealing", keys),
        ("reconcile --ask-xai", reconcile),
    ],
)
def test_it_cannot_be_dumped_when_it_opens_the_file(
    command: str, module: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    hardened: list[bool] = []
    monkeypatch.setattr(module, "disable_core_dumps", lambda: hardened.append(True))

    failed = invoke(*command.split(), env=NOWHERE)

    assert (failed.status != 0, "/none" in failed.stderr) == (True, True)
    assert hardened == [True]
