"""The editor of a rule: the same form again after each button, who would earn it meanwhile, and changing a rule."""

from dataclasses import dataclass, replace

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from lti_tool.domain.criteria import MOST_PARTS
from lti_tool.errors import ConflictError, OutdatedError
from lti_tool.models import Rule, RuleStatus, RunStatus, Visit
from lti_tool.services import drafts, rules, runs
from lti_tool.services.drafts import Draft
from lti_tool.services.reports.common import badge_view
from lti_tool.services.reports.editor import Offer, editor_offer, live_preview
from lti_tool.services.reports.preview import Preview
from lti_tool.services.reports.rule import change_report, sentence_of
from lti_tool.web import access
from lti_tool.web.condition_check import JOINS, KINDS, Choices
from lti_tool.web.condition_tree import change
from lti_tool.web.option_words import FALLS, REPEATS, option_changes
from lti_tool.web.parts import tools, utc_now
from lti_tool.web.rule_form import DEFAULTS, RuleForm, read_rule_form, values_of

blueprint = Blueprint("rule_editor", __name__, url_prefix="/courses/<int:course_id>/rules")

# Buttons that change the tree or only look, by the first word of their value.
STRUCTURE = ("add", "group", "remove")


@dataclass(frozen=True)
class Editor:
    """The form in its course, and what there is to choose from."""

    visit: Visit
    form: RuleForm
    offer: Offer
    # The rule that is changed; None for a new one.
    rule_id: int | None = None
    badge_class_id: int | None = None
    # The place in the tree that a button has just made or changed.
    focus: tuple[int, ...] | None = None
    preview: Preview | None = None
    # What tells whether the rule is still the one that the form was opened for.
    shown: str = ""

    @property
    def choices(self) -> Choices:
        """What the form may name."""
        return Choices(self.offer.titles, self.offer.badges, self.offer.own_badge_id)


@blueprint.post("/preview")
@blueprint.post("/<int:rule_id>/preview")
def preview(course_id: int, rule_id: int | None = None) -> str:
    """The sentence that the form makes and who would earn it, while it is being filled in; nothing is stored."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        rule = rules.find(session, course_id, rule_id) if rule_id is not None else None
        return render(with_preview(session, read(session, visit, rule)), "course/live_preview.html")


@blueprint.route("/<int:rule_id>/edit", methods=["GET", "POST"])
def edit_rule(course_id: int, rule_id: int) -> str | Response | tuple[str, int]:
    """Change what earns a badge; what that changes for whom is shown before a rule that was in use is changed."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        rule = rules.find(session, course_id, rule_id)
        if rule.status is RuleStatus.ARCHIVED:
            raise ConflictError(rules.GONE_RULE)
        editor = read(session, visit, rule)
        wish = request.form.get("do", "")
        if request.method == "GET" or is_about_structure(wish):
            return _form_page(session, pressed(session, editor, wish), rule)
        draft = editor.form.draft
        if draft == drafts.draft_of(rule.current):
            flash("Nothing was changed.", "success")
            return redirect(url_for("rules.rule", course_id=course_id, rule_id=rule_id), 303)
        has_changed = editor.shown != drafts.mark(rule)
        if draft is None or (has_changed and wish != "confirm"):
            page = _form_page(session, pressed(session, editor, wish), rule, has_changed=has_changed)
            return page, 409 if has_changed else 422
        if has_changed or (rule.activated_at is not None and wish != "confirm"):
            page = _confirm_page(session, editor, draft, rule, has_changed=has_changed)
            return (page, 409) if has_changed else page
    try:
        return _save(editor, draft, rule_id)
    except OutdatedError:
        # Looked at once more, it is seen to have changed.
        return edit_rule(course_id, rule_id)


def read(session: Session, visit: Visit, rule: Rule | None, badge_classes: set[str] | None = None) -> Editor:
    """The form as it was sent, or as it starts."""
    own = rule.badge_class_id if rule else request.form.get("badge_class", "")
    offer = editor_offer(session, visit.course_id, own)
    choices = Choices(offer.titles, offer.badges, offer.own_badge_id)
    present = drafts.draft_of(rule.current) if rule else None
    sent = request.form if request.method == "POST" else values_of(present) if present else {}
    form = read_rule_form(sent, choices, badge_classes, present)
    if request.method == "GET":
        form = replace(form, errors={})
    shown = request.form.get("shown", "") if request.method == "POST" else drafts.mark(rule) if rule else ""
    return Editor(visit, form, offer, rule.id if rule else None, offer.own_badge_id, shown=shown)


def is_about_structure(wish: str) -> bool:
    """Whether a button only changes the form, or looks: nothing is to be saved."""
    return wish.partition(":")[0] in (*STRUCTURE, "preview", "back")


def is_part_wanted() -> bool:
    """Whether htmx asks: it puts the part that changes in its place."""
    return "HX-Request" in request.headers


def pressed(session: Session, editor: Editor, wish: str) -> Editor:
    """The editor after one of the buttons that save nothing; faults are told only where somebody asked."""
    form, focus = editor.form, None
    if wish.partition(":")[0] in STRUCTURE:
        tree, focus = change(form.tree, wish)
        form = read_rule_form(replace(form, tree=tree).fields, editor.choices)
    if wish != "preview" and is_about_structure(wish):
        form = replace(form, errors={})
    return with_preview(session, replace(editor, form=form, focus=focus))


def with_preview(session: Session, editor: Editor) -> Editor:
    """The editor with who would earn it now, where the form says enough; which badge it is does not matter."""
    draft = editor.form.draft or read_rule_form(editor.form.fields, editor.choices).draft
    if draft is None:
        return editor
    found = live_preview(session, editor.visit.course_id, draft, editor.rule_id, editor.badge_class_id)
    return replace(editor, preview=found)


def render(editor: Editor, template: str, **more: object) -> str:
    """A page with the form in it; only the changing part of it when htmx asks."""
    if is_part_wanted() and template != "course/live_preview.html":
        template = "course/rule_editor.html"
    return render_template(
        template,
        course=editor.visit.course,
        form=editor.form,
        errors=editor.form.errors,
        offer=editor.offer,
        rule_id=editor.rule_id,
        focus=editor.focus,
        preview=editor.preview,
        has_options=any(editor.form.values[name] != DEFAULTS[name] for name in DEFAULTS if name != "badge_class"),
        kinds=KINDS,
        joins=JOINS,
        most_parts=MOST_PARTS,
        falls=FALLS,
        repeats=REPEATS,
        **more,
    )


def _form_page(session: Session, editor: Editor, rule: Rule, *, has_changed: bool = False) -> str:
    """The form; where the rule is another one by now, with what that says, and for it from here on."""
    return render(
        editor,
        "course/edit_rule.html",
        badge=badge_view(rule.badge_class),
        shown=drafts.mark(rule) if has_changed else editor.shown,
        has_changed=has_changed,
        rule_status=rule.status.value,
        sentence_now=sentence_of(session, rule) if has_changed else "",
        said_now=drafts.draft_of(rule.current),
    )


def _confirm_page(session: Session, editor: Editor, draft: Draft, rule: Rule, *, has_changed: bool) -> str:
    effect = change_report(session, rule.course_id, rule.id, draft, editor.form.sentence)
    return render_template(
        "course/confirm_edit.html",
        course=editor.visit.course,
        rule_id=rule.id,
        badge=badge_view(rule.badge_class),
        shown=drafts.mark(rule),
        has_changed=has_changed,
        is_active=rule.status is RuleStatus.ACTIVE,
        fields=editor.form.fields,
        change=effect,
        options=option_changes(drafts.draft_of(rule.current), draft),
        needs_approval=draft.needs_approval,
        is_braked=runs.is_large(session, rule.course_id, effect.added_count, tools().settings),
    )


def _save(editor: Editor, draft: Draft, rule_id: int) -> Response:
    course_id = editor.visit.course_id
    run = rules.edit(tools(), course_id, rule_id, editor.visit.person_id, draft, utc_now(), shown=editor.shown)
    if run is not None and run.status is RunStatus.WAITING:
        flash("Changed. So many badges at once wait for you: look at the list, and confirm it.", "warning")
        return redirect(url_for("runs.run", course_id=course_id, run_id=run.id), 303)
    flash("Changed. Whoever has the badge keeps it.", "success")
    return redirect(url_for("rules.rule", course_id=course_id, rule_id=rule_id), 303)
