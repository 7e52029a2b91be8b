"""`python -m benchmarks`: every benchmark by its name."""

import logging

import typer

from benchmarks import fleet, latency, ledger, rotation

app = typer.Typer(no_args_is_help=True, add_completion=False, help="How fast the system is, as ratios.")
app.command(epilog=f"Example: {ledger.EXAMPLE}")(ledger.ledger)
app.command(epilog=f"Example: {fleet.EXAMPLE}")(fleet.fleet)
app.command(epilog=f"Example: {latency.EXAMPLE}")(latency.latency)
app.command("rotation")(rotation.main)


@app.callback()
def prepare() -> None:
    """Prepare what all commands share."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a group's first start logs errors that are none


if __name__ == "__main__":
    app()
