"""What is written on an assertion: the rule's Markdown with the learner's own achievement in it."""

import re

from lti_tool.errors import InvalidInputError
from lti_tool.models import Award

LONGEST = 2000
FIELDS = ("learner", "course", "badge", "reasons", "date")
_FIELD = re.compile(r"\{([^{}]*)\}")
# Everything that means something in Markdown (CommonMark §2.4), but "<", which becomes an entity when it is sent; and
# "&", so that nothing else looks like one.
_SPECIAL = re.compile(r"([\\`*_{}\[\]>()#+!|~&])")


def check(template: str) -> str:
    """The template, trimmed; raises InvalidInputError naming a field that does not exist."""
    template = template.strip()
    if len(template) > LONGEST:
        raise InvalidInputError(f"narrative: must have at most {LONGEST} characters.")
    unknown = [name for name in _FIELD.findall(template) if name not in FIELDS]
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise InvalidInputError(f"narrative: there is no {{{unknown[0]}}}. These can be used: {known}.")
    return template


def fill(award: Award) -> str | None:
    """The narrative of an award; None when its rule has none."""
    template = award.rule.narrative
    if not template:
        return None
    values = {
        "learner": award.person.display_name,
        "course": award.course.title or award.course.label,
        "badge": award.badge_class.name,
        "reasons": " ".join(
            f"{reason['activity']}: {reason['detail']}" for reason in award.reasons if not reason.get("group")
        ),
        "date": f"{award.achieved_at:%Y-%m-%d}",
    }
    # Names come from people and from the LMS: a star in one must not become Markdown.
    return _FIELD.sub(lambda found: _SPECIAL.sub(r"\\\1", values.get(found[1], "")), template)
