"""`python -m benchmarks`: every benchmark by its name."""

import typer
from grafient.cli.group import CommandGroup

from benchmarks import claims, console, export, fleet, latency, ledger, looks, onboarding, profile, reads, rotation

app = typer.Typer(cls=CommandGroup, no_args_is_help=True, add_completion=False)
app.command(epilog=f"Example: {ledger.EXAMPLE}")(ledger.ledger)
app.command(epilog=f"Example: {fleet.EXAMPLE}")(fleet.fleet)
app.command(epilog=f"Example: {onboarding.EXAMPLE}")(onboarding.onboarding)
app.command(epilog=f"Example: {latency.EXAMPLE}")(latency.latency)
app.command(epilog=f"Example: {reads.EXAMPLE}")(reads.reads)
app.command(epilog=f"Example: {console.EXAMPLE}")(console.console)
app.command(epilog=f"Example: {export.EXAMPLE}")(export.export)
app.command(epilog=f"Example: {claims.EXAMPLE}")(claims.claims)
app.command(epilog=f"Example: {looks.EXAMPLE}")(looks.looks)
app.command(epilog=f"Example: {rotation.EXAMPLE}")(rotation.rotation)

app.command(epilog=f"Example: {profile.EXAMPLE}")(profile.profile)


@app.callback()
def benchmarks() -> None:
    """How fast the system is: every figure beside a ratio to something that ran in the same minute."""


if __name__ == "__main__":
    app()
