"""`grafient migrate`: bring the tables of every service up to date."""

from typing import Annotated

import typer
from common.migrations import SERVICES
from common.migrations import migrate as migrate_service
from common.settings import DatabaseUrl, Settings, load
from pydantic import SecretStr

from grafient.cli.output import Json, show, table


class MigrateSettings(Settings):
    """Where the tables are; the role must be allowed to create schemas and roles."""

    database_url: DatabaseUrl
    connector_password: SecretStr | None = None
    """Of the service's role; None, here and below: unchanged."""
    syncer_password: SecretStr | None = None
    ledger_password: SecretStr | None = None
    console_password: SecretStr | None = None

    def password_of(self, service: str) -> SecretStr | None:
        return {
            "connector": self.connector_password,
            "syncer": self.syncer_password,
            "ledger": self.ledger_password,
            "console": self.console_password,
        }[service]


def migrate(
    *,
    service: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Bring every service's schema up to date; a second run changes nothing.

    CONNECTOR_PASSWORD, SYNCER_PASSWORD, LEDGER_PASSWORD and CONSOLE_PASSWORD, or files of that name in SECRETS_DIR, are
    set on the roles.
    """
    settings = load(MigrateSettings)
    unknown = set(service or ()) - set(SERVICES)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: the services are {', '.join(SERVICES)}")
    rows = [
        {
            "service": name,
            "version": migrate_service(settings.database_url, name, password=settings.password_of(name)),
        }
        for name in service or SERVICES
    ]
    show(rows, table("Schemas", rows), as_json=as_json)
