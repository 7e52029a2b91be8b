"""`grafient console`: links that open the console, as a product makes them for its customers."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from common.settings import load
from console.links import LONGEST, Right, load_secrets, new_link
from console.settings import LinkSettings
from contract.fields import AccountId
from pydantic import TypeAdapter, ValidationError

from grafient.cli.output import Json, show
from grafient.cli.time_options import duration

app = typer.Typer(no_args_is_help=True, help="Open the console for an account.")


@app.callback()
def _group() -> None:
    """With one command alone its name would be left out."""


def _account(text: str) -> str:
    try:
        return TypeAdapter(AccountId).validate_python(text)
    except ValidationError:
        raise typer.BadParameter("an account is 1-64 of A-Za-z0-9_.-") from None


def _valid(text: str) -> timedelta:
    valid = duration(text)
    if not valid or valid > LONGEST:
        raise typer.BadParameter("use 1m to 15m")
    return valid


@app.command(epilog="Example: grafient console link --account acme --manage --expires 15m")
def link(
    *,
    account: Annotated[str, typer.Option(parser=_account, metavar="ACCOUNT", help="Whose costs it opens.")],
    manage: Annotated[bool, typer.Option("--manage", help="Also connect, change and remove teams.")] = False,
    expires: Annotated[
        timedelta, typer.Option(parser=_valid, metavar="TIME", help="How long it is valid, up to 15m.")
    ] = "15m",  # type: ignore[assignment]  # typer parses it
    as_json: Json = False,
) -> None:
    """Print a link that opens the console once, and is then a session of 8 hours.

    It is signed with the first secret of CONSOLE_LINK_SECRETS_FILE, for the console at CONSOLE_URL.
    """
    settings = load(LinkSettings)
    made = new_link(account, Right.MANAGE if manage else Right.VIEW, datetime.now(UTC) + expires)
    url = f"{settings.console_url}/enter?{made.query(load_secrets(settings.console_link_secrets_file)[0])}"
    row = {"url": url, "account_id": account, "right": made.right.value, "expires_at": made.expires_at}
    show(row, url, as_json=True) if as_json else typer.echo(url)
