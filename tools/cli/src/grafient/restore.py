"""`grafient restore`: after the connector's database was restored, take over what the topics know of integrations."""

from dataclasses import asdict

import typer
from common.replay import ReplaySettings
from common.settings import load
from connector.operations.restore import restore as restore_integrations

from grafient.cli.operations import run_operation
from grafient.cli.output import DryRun, Json, show, table
from grafient.cli.progress import progress_bar


def restore(*, dry_run: DryRun = False, as_json: Json = False) -> None:
    """After the connector's database was restored from a backup: take over newer integrations and keys from the topics.

    Stop the connectors before. Nothing is published, no key is opened, and a second run changes nothing. Status 1 where
    an integration has no key on its topic: connect it again.
    """
    settings = load(ReplaySettings)
    with progress_bar("connector restores") as progress:
        report = run_operation("connector", restore_integrations(settings, dry_run=dry_run, progress=progress))
    row = asdict(report) | {"without_key": len(report.without_key)}
    show(asdict(report), table("Would be restored" if dry_run else "Restored", [row]), as_json=as_json)
    raise typer.Exit(bool(report.without_key))
