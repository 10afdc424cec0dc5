"""`lti-badges serve`, `worker`, `migrate`: running the tool."""

import click

from lti_tool import migrate as migrations
from lti_tool.app import create_queue, create_tools
from lti_tool.cli.tools import open_tools
from lti_tool.logs import configure_logs
from lti_tool.server import run_server
from lti_tool.settings import load_settings


@click.command()
def serve() -> None:
    """Serve the web pages; with the embedded queue, the worker runs inside."""
    settings = load_settings()
    tools = create_tools(settings)
    # One small installation is one command: its tables are made here. With PostgreSQL, `migrate` is run once first.
    if settings.database_url.startswith("sqlite"):
        migrations.migrate(tools.database)
    tools.database.dispose()
    run_server(settings)


@click.command()
def worker() -> None:
    """Work on the queue, here or on another machine than `serve`."""
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    create_queue(create_tools(settings)).run_consumer()


@click.command()
@click.option("--revision", default="head", show_default=True, help="Where to; an earlier one goes back.")
def migrate(revision: str) -> None:
    """Bring the database's tables to this version of the tool."""
    tools = open_tools()
    configure_logs(tools.settings.log_level, tools.settings.log_format)
    migrations.migrate(tools.database, revision)
    click.echo("The database is up to date." if revision == "head" else f"The database is at {revision}.")
