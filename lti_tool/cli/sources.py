"""`lti-badges source`: the ways by which grades arrive."""

from datetime import UTC, datetime

import click

from lti_tool.cli.output import json_option, print_rows
from lti_tool.cli.tools import open_tools
from lti_tool.services import sources
from lti_tool.services.sources import SourceData, SourceSecret
from lti_tool.sources import KINDS


@click.group()
def source() -> None:
    """The ways by which grades and completions arrive (webhooks)."""


@source.command()
@click.option("--platform", "platform_id", type=int, required=True, help="The platform whose grades arrive here.")
@click.option("--kind", type=click.Choice(sorted(KINDS)), default="standard", show_default=True)
@click.option("--name", required=True, help="What to call it, for people.")
@json_option
def add(platform_id: int, kind: str, name: str, as_json: bool) -> None:
    """Add a source; its secret is shown this once."""
    tools = open_tools()
    _print_secret(tools.settings.base_url, sources.add(tools, platform_id, kind, SourceData(name, {}), _now()), as_json)


@source.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the sources with the last event of each."""
    tools = open_tools()
    rows = sources.list_all(tools)
    print_rows(rows, as_json, "No source yet. Add one with: lti-badges source add --help")


@source.command()
@click.argument("public_id")
@click.option("--overlap-hours", default=24, show_default=True, help="How long the former secret is still taken.")
@json_option
def rotate(public_id: str, overlap_hours: int, as_json: bool) -> None:
    """Give a source a new secret; the former one is taken for a while, so nothing is lost."""
    tools = open_tools()
    made = sources.rotate(tools, public_id, overlap_hours, _now())
    _print_secret(tools.settings.base_url, made, as_json)


def _print_secret(base_url: str, made: SourceSecret, as_json: bool) -> None:
    address = f"{base_url}/webhooks/{made.public_id}"
    if as_json:
        print_rows([{"id": made.public_id, "address": address, "secret": made.secret}], as_json, "")
        return
    click.echo("Create a webhook in the LMS with this address and secret. The secret is not shown again.")
    click.echo(f"  Address  {address}")
    click.echo(f"  Secret   {made.secret}")


def _now() -> datetime:
    return datetime.now(UTC)
