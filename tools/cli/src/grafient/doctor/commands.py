"""`grafient doctor`: whether this machine and these settings are right, and what to do where they are not."""

import typer

from grafient.cli.output import Json, show, table
from grafient.doctor.checks import all_checks


def doctor(*, as_json: Json = False) -> None:
    """Check Python, disk, memory, ports, the embedded stack and the services' settings; status 1 where one needs a fix."""
    checks = list(all_checks())
    rows = [{"check": one.name, "state": "problem" if one.problem else "ok", "detail": one.detail} for one in checks]
    show(rows, table("Checks", rows), as_json=as_json)
    raise typer.Exit(any(one.problem for one in checks))
