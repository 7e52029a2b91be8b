"""The command `grafient`: every command is named here."""

import typer

from grafient import topics
from grafient.cron import cron
from grafient.demo import demo
from grafient.migrate import migrate
from grafient.up import up

app = typer.Typer(
    name="grafient",
    help="xAI costs in a product's own database: run it here, and look after it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.command(epilog="Example: grafient demo --exit")(demo)
app.command(epilog="Example: grafient up --json --data ./grafient-data")(up)
app.command(epilog="Example: grafient cron --once")(cron)
app.command(epilog="Example: DATABASE_URL=postgresql+psycopg://owner@db/grafient grafient migrate")(migrate)
app.add_typer(topics.app, name="topics")
