"""`lti-badges badgr-server`: the Badgr servers that instructors can connect to."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

import click

from lti_tool.badgr.presets import PRESETS
from lti_tool.cli.output import json_option, print_rows
from lti_tool.cli.tools import ROW_ID, open_tools
from lti_tool.models.badge import NEEDED_SCOPES
from lti_tool.services import badgr_servers
from lti_tool.services.badgr_servers import BadgrServerData


@click.group("badgr-server")
def badgr_server() -> None:
    """The Badgr servers that instructors can connect to."""


@badgr_server.command()
@click.option("--preset", type=click.Choice(sorted(PRESETS)), help="A hosted region; gives both addresses.")
@click.option("--name", help="What to call the server, for people (default: the preset's label).")
@click.option("--ui-url", help="Address of its pages, where people sign in.")
@click.option("--api-url", help="Address of its API.")
@click.option("--address", help="One address of an own server that tells the others (Badge Connect).")
@click.option("--scope", "scopes", multiple=True, help="A scope to ask for; may be repeated. [r:profile rw:issuer]")
@click.option("--max-parallel", default=4, show_default=True, help="How many awards are sent at the same time.")
@click.option(
    "--max-per-minute",
    type=click.IntRange(1, 100_000),
    help="How many awards are sent in a minute at most; as many as come, else.",
)
@click.option("--no-check", is_flag=True, help="Save it without trying the key.")
@click.option("--client-id", required=True, help="The key (client id) that the server gave to this tool.")
@click.option(
    "--client-secret",
    prompt="Client secret",
    hide_input=True,
    envvar="LTI_BADGES_BADGR_CLIENT_SECRET",
    show_envvar=True,
    help="The secret; left out, it is asked for, so that it stays out of the shell's history.",
)
def add(
    preset: str | None,
    name: str | None,
    ui_url: str | None,
    api_url: str | None,
    address: str | None,
    scopes: tuple[str, ...],
    max_parallel: int,
    max_per_minute: int | None,
    no_check: bool,
    client_id: str,
    client_secret: str,
) -> None:
    """Add a Badgr server: a preset of the hosted service, or any own server by its two addresses."""
    tools = open_tools()
    known = PRESETS[preset] if preset else None
    found = badgr_servers.discover(tools, address) if address else None
    told = BadgrServerData(
        name=name or (known.label if known else urlsplit(address or api_url or "").netloc),
        ui_url=ui_url or (known.ui_url if known else None) or (found.ui_url if found else ""),
        api_url=api_url or (known.api_url if known else "") or (found.api_url if found else ""),
        client_id=client_id,
        client_secret=client_secret,
        scopes=scopes or NEEDED_SCOPES,
        max_parallel=max_parallel,
        max_per_minute=max_per_minute,
    )
    server_id = badgr_servers.save(tools, told, datetime.now(UTC), check=not no_check)
    click.echo(f"Badgr server {server_id} is added{'' if no_check else ', and its key works'}.")
    click.echo("Register this redirect URI there:")
    click.echo(f"  {tools.settings.base_url}/badgr/callback")


@badgr_server.command()
@click.argument("server_id", type=ROW_ID)
def test(server_id: int) -> None:
    """Try the stored key of a server."""
    badgr_servers.try_key(open_tools(), server_id, datetime.now(UTC))
    click.echo("The key works.")


@badgr_server.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the Badgr servers."""
    rows = badgr_servers.rows(open_tools())
    print_rows(rows, as_json, "No Badgr server yet. Add one with: lti-badges badgr-server add --help")
