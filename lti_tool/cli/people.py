"""`lti-badges erase-person`: everything about a person is removed, with a receipt."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from lti_tool.cli.output import json_option
from lti_tool.cli.tools import ROW_ID, open_tools
from lti_tool.services import audit, erasure
from lti_tool.services.erasure import Receipt
from lti_tool.web.filters import moment


@click.command("erase-person")
@click.option("--platform", "platform_id", type=ROW_ID, required=True, help="The platform on which they are known.")
@click.option("--id", "sub", help="Their id in the LMS (LTI `sub`).")
@click.option("--address", help="Their e-mail address, where the id is not known.")
@click.option("--revoke", is_flag=True, help="Also revoke what Badgr has. Left out, those badges stay there.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def erase_person(
    platform_id: int, sub: str | None, address: str | None, revoke: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Remove everything about a person, and print a receipt. It cannot be undone."""
    tools, now = open_tools(), datetime.now(UTC)
    with tools.database.read() as session:
        person_id = erasure.find_person(session, platform_id, sub=sub, address=address)
    planned = erasure.survey(tools, person_id, now, revoke=revoke)
    if dry_run:
        _print(planned, as_json)
        return
    if not yes:
        # Not into what a program reads.
        _print(planned, as_json=False, to_errors=as_json)
        click.confirm("Remove all this? It cannot be undone", abort=True, err=as_json)
    _print(erasure.erase(tools, person_id, audit.COMMAND_LINE, now, revoke=revoke), as_json)


def _print(receipt: Receipt, as_json: bool, to_errors: bool = False) -> None:
    if as_json:
        click.echo(json.dumps(asdict(receipt), indent=2, default=str))
        return
    begin = "Would be removed" if receipt.is_dry_run else f"Removed on {moment(receipt.at)}"
    click.echo(f"{begin} (person {receipt.person_id} of {receipt.platform}):", err=to_errors)
    for name, number in receipt.removed.items():
        click.echo(f"  {number:6}  {name}", err=to_errors)
    if receipt.at_badgr:
        click.echo("At Badgr:", err=to_errors)
        for badge in receipt.at_badgr:
            click.echo(
                f"  {badge.badge} ({badge.issuer}): {badge.outcome}. {badge.address or ''}".rstrip(), err=to_errors
            )
        click.echo("  What stays there, the issuer can revoke, and the server's operator can erase.", err=to_errors)
    click.echo("While the LMS lists the person in a course, they come back with its next course list.", err=to_errors)
