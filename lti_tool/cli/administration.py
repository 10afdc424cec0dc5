"""`lti-badges admin`, `registration-link`, `keys`, `check`: who administers, how an LMS registers, what works."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import click

from lti_tool.cli.output import json_option, print_rows
from lti_tool.cli.tools import ROW_ID, open_tools
from lti_tool.services import admins, audit, onboarding, registration, sealing, selfcheck
from lti_tool.services.admins import Admin

EVERYTHING = Admin(audit.COMMAND_LINE, None, None)


@click.group()
def admin() -> None:
    """Local administrators of the tool's pages (/admin)."""


@admin.command()
@click.argument("name")
@click.option(
    "--password",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    envvar="LTI_BADGES_ADMIN_PASSWORD",
    show_envvar=True,
    help="Left out, it is asked for, so that it stays out of the shell's history.",
)
def create(name: str, password: str) -> None:
    """Make an account, or give an existing one a new password."""
    tools = open_tools()
    is_new = admins.create_account(tools, name, password, audit.COMMAND_LINE, datetime.now(UTC))
    click.echo(f"{'Account made' if is_new else 'New password set'}. Sign in at {tools.settings.base_url}/admin/")


@click.command("registration-link")
@click.option("--note", default="", help="What to call the LMS, for people.")
@click.option("--platform", "platform_id", type=ROW_ID, help="Renew the registration of this platform.")
def registration_link(note: str, platform_id: int | None) -> None:
    """Make a link that lets one LMS register itself, once, within seven days (dynamic registration)."""
    link = onboarding.create_link(open_tools(), audit.COMMAND_LINE, note, datetime.now(UTC), platform_id)
    click.echo("Enter this in the LMS where a tool is added by its registration address:")
    click.echo(f"  {link}")


@click.group()
def keys() -> None:
    """The tool's own key pairs."""


@keys.command()
def rotate() -> None:
    """Sign with a new key from now on; the former one stays published, so that nothing fails meanwhile."""
    kid = registration.rotate_keys(open_tools(), datetime.now(UTC))
    click.echo(f"Key {kid} signs from now on.")


@keys.command()
def reseal() -> None:
    """Seal every stored secret with the first of LTI_BADGES_SECRET_KEYS; then the former ones can be taken out."""
    tools = open_tools()
    number = sealing.reseal(tools)
    audit.record(tools, audit.COMMAND_LINE, "secrets sealed anew", datetime.now(UTC), detail=f"{number} secrets")
    click.echo(f"{number} secrets are sealed with the first key now.")


@click.command()
@json_option
def check(as_json: bool) -> None:
    """Try everything that a badge needs on its way: the tool, each LMS, each Badgr server. Exits 1 on a fault."""
    tools, now = open_tools(), datetime.now(UTC)
    rows = []
    for subject in selfcheck.subjects(tools, EVERYTHING):
        _, findings = selfcheck.check(tools, EVERYTHING, subject.key, now, with_keys=False)
        rows += [{"subject": subject.name, **asdict(finding)} for finding in findings]
    if as_json:
        print_rows(rows, as_json, "")
    else:
        _print_findings(rows)
    if any(row["outcome"] is selfcheck.Outcome.FAULT for row in rows):
        sys.exit(1)


def _print_findings(rows: list[dict[str, Any]]) -> None:
    signs = {selfcheck.Outcome.FINE: "ok", selfcheck.Outcome.FAULT: "FAULT", selfcheck.Outcome.UNKNOWN: "?"}
    for subject, findings in groupby(rows, key=itemgetter("subject")):
        click.echo(subject)
        for row in findings:
            click.echo(f"  {signs[row['outcome']]:5} {row['topic']}: {row['detail']}")
            if row["advice"]:
                click.echo(f"        → {row['advice']}")
