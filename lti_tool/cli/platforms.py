"""`lti-badges platform`: the LMSs that may launch the tool."""

from datetime import UTC, datetime

import click

from lti_tool.cli.output import json_option, print_rows
from lti_tool.cli.tools import ROW_ID, open_tools
from lti_tool.services import onboarding, registration


@click.group()
def platform() -> None:
    """The LMSs (platforms) that may launch the tool."""


@platform.command()
@click.option("--name", required=True, help="What to call the LMS, for people.")
@click.option("--configuration", help="Its OpenID configuration address; gives issuer and addresses by itself.")
@click.option("--issuer", help="Its issuer (iss), exactly as the LMS says it.")
@click.option("--client-id", required=True, help="The client id that the LMS gave to this tool.")
@click.option(
    "--deployment",
    "deployments",
    multiple=True,
    help="A deployment id; may be repeated. Left out, it is learned at the first launch.",
)
@click.option("--login-url", help="Authentication request address (OIDC authorization endpoint).")
@click.option("--token-url", help="Access token address.")
@click.option("--jwks-url", help="Key set address.")
@click.option("--token-audience", help="Audience for access tokens, where it is not the token address (Brightspace).")
def add(
    name: str,
    configuration: str | None,
    issuer: str | None,
    client_id: str,
    deployments: tuple[str, ...],
    login_url: str | None,
    token_url: str | None,
    jwks_url: str | None,
    token_audience: str | None,
) -> None:
    """Add an LMS by its addresses, or by the one where it publishes them; the same again updates it."""
    tools = open_tools()
    known = onboarding.look_up(tools, configuration) if configuration else None
    told = registration.PlatformData(
        name=name,
        issuer=issuer or (known.issuer if known else ""),
        client_id=client_id,
        auth_login_url=login_url or (known.auth_login_url if known else ""),
        auth_token_url=token_url or (known.auth_token_url if known else ""),
        jwks_url=jwks_url or (known.jwks_url if known else ""),
        auth_audience=token_audience or (known.auth_audience if known else None),
        deployment_ids=deployments,
    )
    platform_id = registration.add_platform(tools, told, datetime.now(UTC))
    click.echo(f"Platform {platform_id} is registered. Enter these in the LMS:")
    base = tools.settings.base_url
    click.echo(f"  Login initiation   {base}/lti/login")
    click.echo(f"  Launch / redirect  {base}/lti/launch")
    click.echo(f"  Key set (JWKS)     {base}/lti/jwks.json")


@platform.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the LMSs."""
    rows = registration.list_platforms(open_tools())
    print_rows(rows, as_json, "No platform yet. Add one with: lti-badges platform add --help")


@platform.command()
@click.argument("platform_id", type=ROW_ID)
@json_option
def show(platform_id: int, as_json: bool) -> None:
    """Show one LMS with its addresses and deployments."""
    row = registration.show_platform(open_tools(), platform_id)
    if as_json:
        print_rows([row], as_json, "")
        return
    for name, value in row.items():
        click.echo(f"{name:16} {value}")


@platform.command()
@click.argument("platform_id", type=ROW_ID)
@click.argument("hosts", nargs=-1)
@click.option("--none", "is_none", is_flag=True, help="Take all of them away.")
def frames(platform_id: int, hosts: tuple[str, ...], is_none: bool) -> None:
    """Say which hosts have pages around those of the LMS, such as apps.lms.example.org of an Open edX.

    A browser shows the tool only if every page around it may show it. HOSTS takes the place of what was said before.
    """
    if bool(hosts) is is_none:
        raise click.UsageError("Give one or more hosts, or --none.")
    registration.set_frame_origins(open_tools(), platform_id, hosts, datetime.now(UTC))
    click.echo(f"Beside the pages of platform {platform_id} itself: {' '.join(hosts) or 'none'}")


@platform.command()
@click.argument("platform_id", type=ROW_ID)
@click.option("--again", is_flag=True, help="Let it launch and send again.")
def disable(platform_id: int, again: bool) -> None:
    """Refuse launches and events from an LMS; nothing is deleted, and events that came before wait."""
    registration.set_enabled(open_tools(), platform_id, datetime.now(UTC), enabled=again)
    said = "may launch again, and its events are taken" if again else "may no longer launch, and its events are refused"
    click.echo(f"Platform {platform_id} {said}.")
