"""`lti-badges award`: why somebody has a badge, or has it not, and where an award stands."""

import json
from dataclasses import asdict

import click
from sqlalchemy.orm import Session

from lti_tool.cli.output import json_option
from lti_tool.cli.tools import ROW_ID, open_tools
from lti_tool.errors import NotFoundError
from lti_tool.models import Award
from lti_tool.services.reports import explanation
from lti_tool.services.reports.award import AwardView, award_view
from lti_tool.services.reports.common import ReasonView
from lti_tool.services.reports.explanation import Explanation
from lti_tool.web.filters import moment, percent


@click.group()
def award() -> None:
    """Awards: our record that a person earned a badge."""


@award.command()
@click.argument("award_id", type=ROW_ID, required=False)
@click.option("--rule", "rule_id", type=ROW_ID, help="Number of the rule; it stands in the address of its page.")
@click.option("--person", help="Id in the LMS, or e-mail address, of somebody in the rule's course.")
@json_option
def explain(award_id: int | None, rule_id: int | None, person: str | None, as_json: bool) -> None:
    """Tell why somebody has a badge, or has it not.

    AWARD_ID tells the story of an award: which results, which events, when it was sent, what Badgr answered. --rule and
    --person tell how somebody stands with a rule now, awarded or not.
    """
    if (award_id is None) == (rule_id is None) or (rule_id is None) != (person is None):
        raise click.UsageError("Give the number of an award, or --rule and --person.")
    with open_tools().database.read() as session:
        view = _award(session, award_id) if award_id is not None else _person(session, rule_id or 0, person or "")
    if as_json:
        click.echo(json.dumps(asdict(view), indent=2, default=str))
    elif isinstance(view, AwardView):
        _print(view)
    else:
        _print_explanation(view)


def _award(session: Session, award_id: int) -> AwardView:
    found = session.get(Award, award_id)
    if found is None:
        raise NotFoundError("The number of an award stands in the address of its page.", "There is no such award")
    return award_view(session, found)


def _person(session: Session, rule_id: int, person: str) -> Explanation:
    course_id, person_id = explanation.find_person(session, rule_id, person)
    return explanation.explain(session, course_id, rule_id, person_id)


def _print(view: AwardView) -> None:
    click.echo(f"{view.badge.name} for {view.person_name}: {view.status_label}")
    how = ", by hand" if view.by_hand else ""
    click.echo(f"  Rule {view.rule_id}, version {view.version}{how}: {view.sentence}")
    _print_reasons(view.reasons)
    if view.fall_detail:
        click.echo(f"  The results do not earn it any more: {view.fall_detail}")
    if view.advice:
        click.echo(f"  {view.advice}")
    if view.verify_url:
        click.echo(f"  Verify: {view.verify_url}")
    for step in view.steps:
        click.echo(f"  {moment(step.at)}  {step.text}")


def _print_explanation(view: Explanation) -> None:
    click.echo(f"{view.badge.name} for {view.person_name}: {view.summary}")
    if view.advice:
        click.echo(f"  {view.advice}")
    click.echo(f"  Rule {view.rule_id}, version {view.version}: {view.sentence}")
    click.echo(f"  {percent(view.progress)} of the way")
    _print_reasons(view.reasons)
    for granted in view.exceptions:
        note = f" “{granted.note}”" if granted.note else ""
        click.echo(f"  Exception: {granted.text}{note} ({granted.made_by}, {moment(granted.made_at)})")
    for award in view.awards:
        name = f"Award {award.id}" if award.id else "An award of another course"
        click.echo(f"  {name}, earned {moment(award.achieved_at)} by version {award.version}: {award.status_label}")


def _print_reasons(reasons: list[ReasonView]) -> None:
    for reason in reasons:
        indent = "  " * (reason.depth + 1)
        click.echo(f"{indent}{'met    ' if reason.met else 'not met'}  {reason.activity}: {reason.detail}")
        if reason.event and reason.occurred_at:
            event = reason.event
            told = f"event {event.delivery_id} of source “{event.source}”, received {moment(event.received_at)}"
            click.echo(f"{indent}         of {moment(reason.occurred_at)}, told by {told}")
