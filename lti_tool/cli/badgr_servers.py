"""`lti-badges badgr-server`: the Badgr servers that instructors can connect to."""

from datetime import UTC, datetime

import click

from lti_tool.badgr.presets import PRESETS
from lti_tool.cli.output import json_option, print_rows
from lti_tool.cli.tools import open_tools
from lti_tool.services import registration


@click.group("badgr-server")
def badgr_server() -> None:
    """The Badgr servers that instructors can connect to."""


@badgr_server.command()
@click.option("--preset", type=click.Choice(sorted(PRESETS)), help="A hosted region; gives both addresses.")
@click.option("--name", help="What to call the server, for people (default: the preset's label).")
@click.option("--ui-url", help="Address of its pages, where people sign in.")
@click.option("--api-url", help="Address of its API.")
@click.option("--client-id", required=True, help="The key (client id) that the server gave to this tool.")
@click.option(
    "--client-secret",
    prompt="Client secret",
    hide_input=True,
    envvar="LTI_BADGES_BADGR_CLIENT_SECRET",
    help="The secret; left out, it is asked for, so that it stays out of the shell's history.",
)
def add(
    preset: str | None,
    name: str | None,
    ui_url: str | None,
    api_url: str | None,
    client_id: str,
    client_secret: str,
) -> None:
    """Add a Badgr server: a preset of the hosted service, or any own server by its two addresses."""
    tools = open_tools()
    known = PRESETS[preset] if preset else None
    told = registration.BadgrServerData(
        name=name or (known.label if known else ""),
        ui_url=ui_url or (known.ui_url if known else None) or "",
        api_url=api_url or (known.api_url if known else ""),
        client_id=client_id,
        client_secret=client_secret,
    )
    server_id = registration.add_badgr_server(tools, told, datetime.now(UTC))
    click.echo(f"Badgr server {server_id} is added. Register this redirect URI there:")
    click.echo(f"  {tools.settings.base_url}/badgr/callback")


@badgr_server.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the Badgr servers."""
    rows = registration.list_badgr_servers(open_tools())
    print_rows(rows, as_json, "No Badgr server yet. Add one with: lti-badges badgr-server add --help")
