"""The instructor's way to a rule: issuer, badge class, what earns it, preview, on and off."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from lti_tool.badgr.types import BadgeClass
from lti_tool.errors import ConflictError, InvalidInputError, LtiBadgesError, OutdatedError
from lti_tool.models import RuleStatus, RunStatus, Visit
from lti_tool.services import columns, connections, copies, inscriptions, issuers, rules, runs
from lti_tool.services.inscriptions import Inscription
from lti_tool.services.reports.common import BadgeView
from lti_tool.services.reports.rule import VersionRow, rule_report
from lti_tool.web import access, rule_editor
from lti_tool.web.option_words import FALLS, REPEATS, OptionChange, option_changes
from lti_tool.web.parts import tools, utc_now
from lti_tool.web.rule_editor import Editor
from lti_tool.web.search import matching

blueprint = Blueprint("rules", __name__, url_prefix="/courses/<int:course_id>")


@dataclass(frozen=True)
class BadgeChoice:
    """A badge class to choose."""

    entity_id: str
    badge: BadgeView


@blueprint.route("/issuer", methods=["GET", "POST"])
def choose_issuer(course_id: int) -> str | Response:
    """Choose in whose name this course's badges are awarded."""
    visit = access.enter_as_teacher()
    found = issuers.list_issuers(tools(), access.connection_id(visit), utc_now())
    if request.method == "GET":
        return render_template(
            "course/choose_issuer.html",
            course=visit.course,
            issuers=matching(found, request.args.get("q", ""), lambda issuer: (issuer.name, issuer.url or "")),
            chosen=visit.course.issuer_entity_id,
            may_edit=visit.course.may_edit_badges,
        )
    issuers.choose(tools(), course_id, found, request.form.get("issuer", ""))
    return redirect(url_for("rules.choose_badge", course_id=course_id), 303)


@blueprint.get("/rules/new")
def choose_badge(course_id: int) -> str | Response:
    """Choose a badge class and say what earns it."""
    visit = access.enter_as_teacher()
    if visit.course.issuer_entity_id is None:
        return redirect(url_for("rules.choose_issuer", course_id=course_id), 303)
    with tools().database.read() as session:
        editor = rule_editor.with_preview(session, rule_editor.read(session, visit, None))
    found = matching(_badge_classes(visit), request.args.get("q", ""), lambda b: (b.name, b.description, *b.tags))
    return _new_rule(editor, found, chosen=request.args.get("badge", ""))


@blueprint.post("/rules")
def create_rule(course_id: int) -> str | Response | tuple[str, int]:
    """Store the rule as a draft and show who would earn it; or only change the form, as its buttons ask."""
    visit = access.enter_as_teacher()
    wish = request.form.get("do", "")
    is_quick = rule_editor.is_about_structure(wish) and rule_editor.is_part_wanted()
    # Where only the tree is shown again, nobody needs to ask Badgr.
    badge_classes = [] if is_quick else _badge_classes(visit)
    wanted = None if rule_editor.is_about_structure(wish) else {badge.entity_id for badge in badge_classes}
    with tools().database.read() as session:
        editor = rule_editor.read(session, visit, None, wanted)
        if rule_editor.is_about_structure(wish) or editor.form.draft is None:
            editor = rule_editor.pressed(session, editor, wish)
    if rule_editor.is_about_structure(wish):
        return _new_rule(editor, badge_classes)
    if editor.form.draft is None:
        return _new_rule(editor, badge_classes), 422
    chosen = next(b for b in badge_classes if b.entity_id == editor.form.values["badge_class"])
    rule_id = rules.create(tools(), course_id, visit.person_id, chosen, editor.form.draft, utc_now())
    flash("Saved as a draft. Nothing is awarded until you switch it on.", "success")
    return redirect(url_for("rules.rule", course_id=course_id, rule_id=rule_id), 303)


@blueprint.get("/rules/<int:rule_id>")
def rule(course_id: int, rule_id: int) -> str:
    """One rule: who earns it, who is close, who cannot be reached, and its awards."""
    return _rule_page(access.enter_as_teacher(), rule_id)


@blueprint.post("/rules/<int:rule_id>/activate")
def activate_rule(course_id: int, rule_id: int) -> Response | tuple[str, int]:
    """Switch a rule on, if it is still the one that was shown."""
    visit = access.enter_as_teacher()
    also_before = request.form.get("scope") != "from_now"
    shown = request.form.get("shown", "")
    try:
        run = rules.activate(
            tools(), course_id, rule_id, visit.person_id, utc_now(), also_earned_before=also_before, shown=shown
        )
    except OutdatedError as error:
        return _rule_page(visit, rule_id, error, also_before=also_before), 409
    except InvalidInputError as error:
        return _rule_page(visit, rule_id, error, also_before=also_before), 422
    if run.status is RunStatus.WAITING:
        flash("Switched on. So many badges at once wait for you: look at the list, and confirm it.", "warning")
        return redirect(url_for("runs.run", course_id=course_id, run_id=run.id), 303)
    with tools().database.read() as session:
        needs_approval = rules.find(session, course_id, rule_id).current.needs_approval
    if needs_approval:
        flash("Switched on. What is earned waits for you under “Awards to approve” before it goes out.", "success")
    else:
        flash("Switched on. Badges go out by themselves from now on.", "success")
    return redirect(url_for("rules.rule", course_id=course_id, rule_id=rule_id), 303)


@blueprint.post("/rules/<int:rule_id>/options")
def save_options(course_id: int, rule_id: int) -> Response:
    """Say what is written on the assertions of a rule."""
    access.enter_as_teacher()
    form = request.form
    told = Inscription(form.get("narrative", ""), form.get("evidence_url", ""), form.get("notify") == "yes")
    inscriptions.save(tools(), course_id, rule_id, told)
    flash("Saved. It is written on every badge that is awarded from now on.", "success")
    return redirect(url_for("rules.rule", course_id=course_id, rule_id=rule_id), 303)


@blueprint.post("/rules/<int:rule_id>/column")
def switch_column(course_id: int, rule_id: int) -> Response:
    """Give the badge a column in the LMS's gradebook, or take it away."""
    access.enter_as_teacher()
    if request.form.get("column") == "on":
        columns.switch_on(tools(), course_id, rule_id, utc_now())
        flash("The badge has a column in the gradebook now; scores follow by themselves.", "success")
    else:
        columns.switch_off(tools(), course_id, rule_id, utc_now())
        flash("The column is taken out of the gradebook.", "success")
    return redirect(url_for("rules.rule", course_id=course_id, rule_id=rule_id), 303)


@blueprint.post("/rules/<int:rule_id>/pause")
def pause_rule(course_id: int, rule_id: int) -> Response:
    """Switch a rule off for the time being."""
    access.enter_as_teacher()
    rules.pause(tools(), course_id, rule_id)
    flash("Paused. Nobody earns this badge until you switch it on again.", "success")
    return redirect(url_for("rules.rule", course_id=course_id, rule_id=rule_id), 303)


@blueprint.post("/rules/<int:rule_id>/archive")
def archive_rule(course_id: int, rule_id: int) -> Response:
    """Put a rule away for good."""
    access.enter_as_teacher()
    rules.archive(tools(), course_id, rule_id)
    flash("Archived. Nobody earns this badge here any more; whoever has it keeps it.", "success")
    return redirect(url_for("course.overview", course_id=course_id), 303)


@blueprint.post("/rules/<int:rule_id>/copy")
def copy_rule(course_id: int, rule_id: int) -> Response:
    """Copy a rule to another course of the same teacher."""
    visit = access.enter_as_teacher()
    target_id = request.form.get("target", 0, type=int)
    copies.copy_to(tools(), course_id, rule_id, target_id, visit.person_id, utc_now())
    flash("Copied as a draft. Open Badges in the other course, look at it there, and switch it on.", "success")
    return redirect(url_for("rules.rule", course_id=course_id, rule_id=rule_id), 303)


def _rule_page(visit: Visit, rule_id: int, error: LtiBadgesError | None = None, *, also_before: bool = True) -> str:
    """The page of a rule; with what kept it from being switched on."""
    with tools().database.read() as session:
        report = rule_report(session, visit.course_id, rule_id, visit.person_id)
        is_braked = runs.is_large(session, visit.course_id, report.preview.new_count, tools().settings)
    return render_template(
        "course/rule.html",
        course=visit.course,
        rule=report.rule,
        preview=report.preview,
        versions=list(zip(report.versions, _differences(report.versions), strict=True)),
        awards=report.awards,
        copied_activities=report.copied_activities,
        unknown_activities=report.unknown_activities,
        is_braked=is_braked,
        undone_at=report.undone_at,
        twins=report.twins if report.rule.status != RuleStatus.ARCHIVED else {},
        to_approve=report.to_approve,
        targets=report.targets,
        falls=FALLS,
        repeats=REPEATS,
        has_changed=isinstance(error, OutdatedError),
        fault=error.advice if error else "",
        also_before=also_before,
    )


def _differences(versions: Sequence[VersionRow]) -> list[list[OptionChange]]:
    """What each version, the newest first, changed of the one before it."""
    pairs = itertools.zip_longest(versions, versions[1:])
    return [option_changes(former.said, version.said) if former else [] for version, former in pairs]


def _badge_classes(visit: Visit) -> list[BadgeClass]:
    issuer_id = visit.course.issuer_entity_id
    if issuer_id is None:
        raise ConflictError("Choose the issuer first, on the first page of the course.", "No issuer is chosen yet")
    return connections.with_client(
        tools(), access.connection_id(visit), utc_now(), lambda client: client.badge_classes(issuer_id)
    )


def _new_rule(editor: Editor, badge_classes: list[BadgeClass], chosen: str = "") -> str:
    course = editor.visit.course
    name = course.issuer_name or ""
    return rule_editor.render(
        editor,
        "course/choose_badge.html",
        badges=[BadgeChoice(b.entity_id, BadgeView(b.name, b.description, b.image, name)) for b in badge_classes],
        chosen=chosen or editor.form.values["badge_class"],
        issuer_name=name,
        may_edit=course.may_edit_badges,
    )
