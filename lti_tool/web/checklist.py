"""The set-up checklist of a course, and what needs a teacher's attention."""

from dataclasses import dataclass

from flask import url_for

from lti_tool.services.reports.course import CourseReport, Stuck
from lti_tool.web.filters import moment


@dataclass(frozen=True)
class Step:
    """One line of the checklist; `state` is done, current or todo."""

    title: str
    detail: str
    state: str
    action_url: str | None
    action_label: str | None
    new_tab: bool = False


@dataclass(frozen=True)
class Attention:
    """Something that is stuck, with what mends it."""

    title: str
    detail: str
    action_label: str | None
    action_url: str | None
    new_tab: bool = False
    # Whether the action changes something, hence is a form and no link.
    is_form: bool = False


def checklist(report: CourseReport, course_id: int, connect_url: str) -> list[Step]:
    """Connect, choose the issuer, make a rule, switch it on; the first open step is the current one."""
    connection = report.connection
    connected = connection is not None and connection.alive
    who = f"Connected as {connection.user_name} at {connection.server_name}." if connection else ""
    first_draft = next((rule for rule in report.rules if rule.status != "active"), None)
    rule_url = url_for("rules.rule", course_id=course_id, rule_id=first_draft.id) if first_draft else None
    issuer_url = url_for("rules.choose_issuer", course_id=course_id)
    new_rule_url = url_for("rules.choose_badge", course_id=course_id)
    steps = [
        (
            connected,
            "Connect your Badgr account",
            who if connected else "Badgr opens in a new tab and asks whether this tool may award badges for you.",
            (connect_url, "Connect to Badgr", True),
        ),
        (
            report.issuer_name is not None,
            "Choose the issuer",
            f"Badges are issued by {report.issuer_name}."
            if report.issuer_name
            else "The organisation in whose name badges are awarded.",
            (issuer_url, "Choose the issuer", False),
        ),
        (
            bool(report.rules),
            "Choose a badge and say what earns it",
            "For example: score at least 80 % in Quiz 1.",
            (new_rule_url, "Choose a badge", False),
        ),
        (
            report.was_set_up,
            "See who would earn it, and switch it on",
            "You see the names before anything is sent.",
            (rule_url, "Preview and switch on", False),
        ),
    ]
    current = next((index for index, (done, *_) in enumerate(steps) if not done), None)
    return [
        Step(
            title,
            detail,
            "done" if done else "current" if index == current else "todo",
            *(action if index == current else (None, None, False)),
        )
        for index, (done, title, detail, action) in enumerate(steps)
    ]


def attention(report: CourseReport, course_id: int, connect_url: str) -> list[Attention]:
    """What is stuck and why, and the one click that mends it where there is one."""
    found = []
    if report.connection is not None and not report.connection.alive:
        found.append(
            Attention(
                "The connection to Badgr has ended",
                f"{report.connection.dead_reason} Badges that are earned wait until then; none is lost.",
                "Connect to Badgr",
                connect_url,
                new_tab=True,
            )
        )
    if report.connection is not None and report.connection.ends_at is not None:
        found.append(
            Attention(
                "The connection to Badgr will end",
                f"Badgr gave no way to renew it: it ends on {moment(report.connection.ends_at)}.",
                "Connect again",
                connect_url,
                new_tab=True,
            )
        )
    if report.connection is not None and report.connection.alive and not report.issuer_name and report.has_active_rule:
        found.append(
            Attention(
                "The connected account is not in the issuer of this course's badges",
                "Badgr does not let it award them. Use an account that is on the staff of that issuer, or ask an owner "
                "of the issuer in Badgr to add this one.",
                "Change the account",
                url_for("connections.overview", course_id=course_id),
            )
        )
    is_told = bool(found)
    found += _decisions(report, course_id)
    for stuck in report.stuck:
        if not (stuck.is_no_connection and is_told):
            found.append(_of_awards(stuck, course_id, connect_url))
    if report.roster_error:
        title = "The course list could not be read from the LMS"
        again = url_for("course.read_roster", course_id=course_id)
        found.append(Attention(title, report.roster_error, "Read it again", again, is_form=True))
    if report.pull_error:
        what = "The results" if report.pull_has_failed else "Some results"
        # Events go on to bring results; only what they do not tell is missing.
        detail = f"{report.pull_error} Results that the LMS tells by itself still arrive."
        found.append(Attention(f"{what} could not be read from the LMS", detail, None, None))
    return found


def _decisions(report: CourseReport, course_id: int) -> list[Attention]:
    """What waits for a teacher's word."""
    found = [
        Attention(
            f"{_awards(run.awards)} at once {'waits' if run.awards == 1 else 'wait'} for you",
            f"{run.started_by} {run.act}{f' “{run.badge_name}”' if run.badge_name else ''}. That is more than usual: "
            "look at the names and the reasons, then confirm, or take it back. Nothing is sent before.",
            "Look at the list",
            url_for("runs.run", course_id=course_id, run_id=run.id),
        )
        for run in report.runs
    ]
    if report.approvals:
        found.append(
            Attention(
                f"{_awards(report.approvals)} {'waits' if report.approvals == 1 else 'wait'} for your approval",
                "The badge is sent when a teacher of the course has approved it.",
                "Approve or refuse",
                url_for("decisions.approvals", course_id=course_id),
            )
        )
    if report.falls:
        found.append(
            Attention(
                f"Results do not earn {_awards(report.falls)} any more",
                "A grade was lowered or taken back after the badge was earned. Say for each whether it is kept.",
                "Keep or revoke",
                url_for("decisions.falls", course_id=course_id),
            )
        )
    return found


def _awards(number: int) -> str:
    return f"{number} {'award' if number == 1 else 'awards'}"


def _of_awards(stuck: Stuck, course_id: int, connect_url: str) -> Attention:
    title = f"{stuck.label} ({_awards(stuck.number)})"
    if stuck.is_no_connection:
        return Attention(title, stuck.advice, "Connect to Badgr", connect_url, new_tab=True)
    learners_url = url_for("course.learners", course_id=course_id, show="held" if stuck.is_held else "failed")
    return Attention(title, stuck.advice, "See who", learners_url)
