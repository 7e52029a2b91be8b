"""`grafient migrate`: the tables of every service, brought up to date."""

from typing import Annotated

import typer
from common.migrations import SERVICES
from common.migrations import migrate as migrate_service
from common.settings import DatabaseUrl, Settings, load

from grafient.output import Json, show, table


class MigrateSettings(Settings):
    """Where the tables are; the role must be allowed to create schemas and roles."""

    database_url: DatabaseUrl


def migrate(
    *,
    service: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
    as_json: Json = False,
) -> None:
    """Bring every service's schema up to date; a second run changes nothing."""
    settings = load(MigrateSettings)
    unknown = set(service or ()) - set(SERVICES)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: the services are {', '.join(SERVICES)}")
    rows = [{"service": name, "version": migrate_service(settings.database_url, name)} for name in service or SERVICES]
    show(rows, table("Schemas", rows), as_json=as_json)
