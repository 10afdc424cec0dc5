"""`lti-badges source`: the ways by which grades arrive."""

from datetime import UTC, datetime

import click

from lti_tool.cli.output import json_option, print_rows
from lti_tool.cli.tools import ROW_ID, open_tools
from lti_tool.errors import InvalidInputError
from lti_tool.services import sources
from lti_tool.services.sources import SourceData, SourceSecret
from lti_tool.sources import KINDS


@click.group()
def source() -> None:
    """The ways by which grades and completions arrive (webhooks)."""


@source.command()
@click.option("--platform", "platform_id", type=ROW_ID, required=True, help="The platform whose grades arrive here.")
@click.option("--kind", type=click.Choice(sorted(sources.kinds())), default="standard", show_default=True)
@click.option("--name", required=True, help="What to call it, for people.")
@click.option(
    "--option",
    "told",
    multiple=True,
    metavar="NAME=VALUE",
    help="What the kind asks for beside its secret; repeatable.",
)
@click.option(
    "--match-by-email",
    is_flag=True,
    help="Believe that an address names a person. Off by default: addresses change owners, and who may change their "
    "own could claim another's results.",
)
@click.option("--deployment", help="Only courses of this deployment are meant; left out, all of the platform's.")
@click.option(
    "--alarm-after", default=0, show_default=True, help="Alarm after so many hours without an event; 0: never."
)
@json_option
def add(
    platform_id: int,
    kind: str,
    name: str,
    told: tuple[str, ...],
    match_by_email: bool,
    deployment: str | None,
    alarm_after: int,
    as_json: bool,
) -> None:
    """Add a source; its secret is shown this once."""
    tools = open_tools()
    key = None
    if deployment is not None:
        with tools.database.read() as session:
            key = sources.find_deployment(session, platform_id, deployment)
    data = SourceData(name, _options(kind, told), match_by_email, key, alarm_after)
    _print_secret(tools.settings.base_url, sources.add(tools, platform_id, kind, data, _now()), as_json)


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
@click.option("--at-once", is_flag=True, help="Though a former secret is still taken: from now on that one is refused.")
@json_option
def rotate(public_id: str, overlap_hours: int, at_once: bool, as_json: bool) -> None:
    """Give a source a new secret; the former one is taken for a while, so nothing is lost."""
    tools = open_tools()
    made = sources.rotate(tools, public_id, overlap_hours, _now(), at_once=at_once)
    _print_secret(tools.settings.base_url, made, as_json)


def _options(kind: str, told: tuple[str, ...]) -> dict[str, str]:
    known = [option.name for option in KINDS[kind].options]
    given = dict(one.partition("=")[::2] for one in told)
    if unknown := sorted(set(given) - set(known)):
        asked = ", ".join(known) or "no options"
        raise InvalidInputError(f"option {', '.join(unknown)}: the kind {kind} asks for {asked}.")
    return given


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
