"""`python -m benchmarks`: every benchmark by its name."""

import logging

import typer

from benchmarks import claims, fleet, latency, ledger, onboarding, reads, rotation

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="How fast the system is, as ratios.",
)
app.command(epilog=f"Example: {ledger.EXAMPLE}")(ledger.ledger)
app.command(epilog=f"Example: {fleet.EXAMPLE}")(fleet.fleet)
app.command(epilog=f"Example: {latency.EXAMPLE}")(latency.latency)
app.command(epilog=f"Example: {onboarding.EXAMPLE}")(onboarding.onboarding)
app.command(epilog=f"Example: {reads.EXAMPLE}")(reads.reads)
app.command(epilog=f"Example: {claims.EXAMPLE}")(claims.claims)
app.command("rotation")(rotation.main)


@app.callback()
def prepare() -> None:
    """How fast the system is: every figure beside a ratio to something that ran in the same minute."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a group's first start logs errors that are none


if __name__ == "__main__":
    app()
