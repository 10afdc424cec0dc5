"""`lti-badges connection`: the Badgr accounts that courses award by."""

from datetime import UTC, datetime

import click

from lti_tool.cli.output import json_option, print_rows
from lti_tool.cli.tools import ROW_ID, open_tools
from lti_tool.services import audit, grants
from lti_tool.services.reports import connections


@click.group()
def connection() -> None:
    """The Badgr accounts that courses award by."""


@connection.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the connections."""
    rows = connections.rows(open_tools())
    print_rows(rows, as_json, "No connection yet. A teacher makes one with “Connect to Badgr” in the course.")


@connection.command()
@click.argument("connection_id", type=ROW_ID)
@json_option
def show(connection_id: int, as_json: bool) -> None:
    """Show a connection with the courses that use it."""
    row = connections.row(open_tools(), connection_id)
    if as_json:
        print_rows([row], as_json, "")
        return
    for name, value in row.items():
        click.echo(f"{name:12} {value}")


@connection.command()
@click.argument("connection_id", type=ROW_ID)
def revoke(connection_id: int) -> None:
    """End a connection, here and at Badgr; awards wait until somebody connects again."""
    tools = open_tools()
    connections.row(tools, connection_id)
    has_ended = grants.disconnect(tools, connection_id, audit.COMMAND_LINE, datetime.now(UTC))
    click.echo("Ended." if has_ended else "Ended here. Badgr could not be told: end it there, too.")
