"""`lti-badges award`: why an award stands where it stands."""

import json
from dataclasses import asdict

import click

from lti_tool.cli.output import json_option
from lti_tool.cli.tools import open_tools
from lti_tool.errors import NotFoundError
from lti_tool.models import Award
from lti_tool.services.reports.award import AwardView, award_view
from lti_tool.web.filters import moment


@click.group()
def award() -> None:
    """Awards: our record that a person earned a badge."""


@award.command()
@click.argument("award_id", type=int)
@json_option
def explain(award_id: int, as_json: bool) -> None:
    """Tell the story of an award: which result, which event, when it was sent, what Badgr answered."""
    with open_tools().database.read() as session:
        found = session.get(Award, award_id)
        if found is None:
            raise NotFoundError("The number of an award stands in the address of its page.", "There is no such award")
        view = award_view(session, found)
    if as_json:
        click.echo(json.dumps(asdict(view), indent=2, default=str))
    else:
        _print(view)


def _print(view: AwardView) -> None:
    click.echo(f"{view.badge.name} for {view.person_name}: {view.status_label}")
    click.echo(f"  Rule: {view.sentence}")
    for reason in view.reasons:
        click.echo(f"  {'met    ' if reason.met else 'not met'}  {reason.activity}: {reason.detail}")
    if view.advice:
        click.echo(f"  {view.advice}")
    if view.verify_url:
        click.echo(f"  Verify: {view.verify_url}")
    for step in view.steps:
        click.echo(f"  {moment(step.at)}  {step.text}")
