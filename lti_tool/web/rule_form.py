"""Reads the form that makes or changes a rule; every fault is named at its field."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lti_tool.domain.criteria import describe
from lti_tool.models import OnFall, Repeat
from lti_tool.services.drafts import Draft
from lti_tool.web.condition_check import UNKNOWN, Choices, check_tree
from lti_tool.web.condition_tree import Part, fields_of, read_tree, tree_of

DEFAULTS = {
    "badge_class": "",
    "counts_from": "",
    "counts_until": "",
    "grades": "final",
    "needs_approval": "",
    "on_fall": OnFall.KEEP.value,
    "repeat": Repeat.ONCE.value,
}
MOMENT = "Enter a day and a time, for example 2026-09-01T08:00."
# A sentence with a gap reads well; one with a wrong number would lie.
GAPS = ("activity", "badge")


@dataclass(frozen=True)
class RuleForm:
    """What was entered, its faults by field, the draft when there are none, and the sentence that it makes so far."""

    values: dict[str, str]
    tree: Part
    errors: dict[str, str]
    draft: Draft | None
    sentence: str

    @property
    def fields(self) -> dict[str, str]:
        """Everything that was entered, by the names of the form."""
        return self.values | fields_of(self.tree)


def read_rule_form(
    form: Mapping[str, str],
    choices: Choices,
    badge_classes: Container[str] | None = None,
    present: Draft | None = None,
) -> RuleForm:
    """Check the form against the activities and badges that there are.

    `badge_classes` are those to choose from when the form makes a rule, `present` what the rule said before.
    """
    values = {name: form.get(name, start).strip()[:500] for name, start in DEFAULTS.items()}
    tree = read_tree(form)
    checked = check_tree(tree, choices)
    errors = {}
    if badge_classes is not None and values["badge_class"] not in badge_classes:
        errors["badge_class"] = "Choose one of the badges."
    errors |= checked.errors
    counts_from = _moment(values, "counts_from", present.counts_from if present else None, errors)
    counts_until = _moment(values, "counts_until", present.counts_until if present else None, errors)
    if counts_from and counts_until and counts_from >= counts_until:
        errors["counts_until"] = "The end must be after the start."
    on_fall = next((choice for choice in OnFall if choice.value == values["on_fall"]), None)
    repeat = next((choice for choice in Repeat if choice.value == values["repeat"]), None)
    if on_fall is None:
        errors["on_fall"] = "Say what happens when results fall."
    if repeat is None:
        errors["repeat"] = "Say how often one person can earn the badge."
    sentence = ""
    if all(name.endswith(GAPS) for name in checked.errors):
        titles = {**choices.activities, **checked.new_activities, UNKNOWN: "…"}
        sentence = describe(checked.criteria, titles, {**choices.badges, UNKNOWN: "…"})
    if errors or on_fall is None or repeat is None:
        return RuleForm(values, tree, errors, None, sentence)
    draft = Draft(
        checked.criteria,
        checked.new_activities,
        counts_from=counts_from,
        counts_until=counts_until,
        fully_graded=values["grades"] != "all",
        needs_approval=values["needs_approval"] == "yes",
        on_fall=on_fall,
        repeat=repeat,
        new_kinds=checked.new_kinds,
    )
    return RuleForm(values, tree, {}, draft, sentence)


def values_of(draft: Draft) -> dict[str, str]:
    """The form as it starts for a rule that says this."""
    return fields_of(tree_of(draft.criteria)) | {
        "badge_class": "",
        "counts_from": _moment_text(draft.counts_from),
        "counts_until": _moment_text(draft.counts_until),
        "grades": "final" if draft.fully_graded else "all",
        "needs_approval": "yes" if draft.needs_approval else "",
        "on_fall": draft.on_fall.value,
        "repeat": draft.repeat.value,
    }


def _moment(values: Mapping[str, str], name: str, present: datetime | None, errors: dict[str, str]) -> datetime | None:
    text = values[name]
    if not text:
        return None
    if present is not None and text == _moment_text(present):
        # The field knows minutes only: what nobody has touched stays exactly as it was.
        return present
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        errors[name] = MOMENT
        return None


def _moment_text(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M}" if moment else ""
