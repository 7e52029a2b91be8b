import pytest
from grafient.doctor import commands
from grafient.doctor.checks import Check

from tests.support.commands import invoke

FINE = Check("disk", problem=False, detail="9 GB free")
WRONG = Check("port 8001", problem=True, detail="in use: end what listens there")


@pytest.mark.parametrize(("checks", "status"), [([FINE], 0), ([FINE, WRONG], 1)])
def test_the_status_shows_whether_something_must_be_fixed(
    checks: list[Check], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "all_checks", lambda: checks)

    assert invoke("doctor", "--json").json(status=status) == [
        {"check": one.name, "state": "problem" if one.problem else "ok", "detail": one.detail} for one in checks
    ]


def test_every_check_can_be_made_here() -> None:
    assert len(invoke("doctor", "--json").stdout.splitlines()) == 1
