"""What the editor of a rule offers: the activities of the course by their kind, and badges that can be asked for."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.models import Activity, BadgeClass, Course
from lti_tool.services import drafts
from lti_tool.services.drafts import Draft
from lti_tool.services.reports.preview import Preview, preview
from lti_tool.services.standings import Subject

NAMES = 10
# The first kinds stand first; what is not named here stands between, under its own word.
KINDS = {
    "activity": "Activities",
    "module": "Modules",
    "course": "The whole course",
    "course_grade": "The whole course",
}
TITLE_NOTES = {"module": "module", "course": "course completed", "course_grade": "course grade"}


@dataclass(frozen=True)
class ActivityChoice:
    """An activity to choose; its label says the kind where that is not plain."""

    id: int
    title: str
    label: str


@dataclass(frozen=True)
class Offer:
    """What there is to choose from: activities by the label of their kind, badges by our key, the rule's own badge."""

    activities: dict[str, list[ActivityChoice]]
    badges: dict[int, str]
    own_badge_id: int | None

    @property
    def titles(self) -> dict[int, str]:
        """The titles of all activities."""
        return {choice.id: choice.title for choices in self.activities.values() for choice in choices}


def editor_offer(session: Session, course_id: int, own_badge: int | str | None) -> Offer:
    """What a rule of this course can be made of; `own_badge` is the badge it awards: our key, or its id at Badgr."""
    course = session.get_one(Course, course_id)
    columns = (Activity.id, Activity.title, Activity.kind, Activity.external_id)
    query = select(*columns).where(Activity.course_id == course.id)
    order = list(KINDS)
    rows = sorted(
        session.execute(query.order_by(Activity.title, Activity.id)),
        key=lambda row: (order.index(row.kind) if row.kind in order[1:] else 0, row.kind != "activity", row.kind),
    )
    activities: dict[str, list[ActivityChoice]] = {}
    unknown: list[ActivityChoice] = []
    for row in rows:
        if row.external_id is None:
            unknown.append(ActivityChoice(row.id, row.title, row.title))
            continue
        note = TITLE_NOTES.get(row.kind)
        choice = ActivityChoice(row.id, row.title, f"{row.title} ({note})" if note else row.title)
        activities.setdefault(KINDS.get(row.kind, row.kind.capitalize()), []).append(choice)
    if unknown:
        # Last: a name that a teacher entered, perhaps wrongly.
        activities["Not known in the LMS yet"] = unknown
    return Offer(activities, drafts.offered_badges(session, course), _own(session, course, own_badge))


def live_preview(
    session: Session, course_id: int, draft: Draft, rule_id: int | None, badge_class_id: int | None
) -> Preview:
    """How the class would stand with a draft; nothing is stored."""
    known = drafts.with_known(session, course_id, draft)
    return preview(session, Subject(known.ask, course_id, rule_id, badge_class_id, draft.repeat), NAMES)


def _own(session: Session, course: Course, badge: int | str | None) -> int | None:
    if not isinstance(badge, str):
        return badge
    server_id = course.connection.server_id if course.connection else None
    query = select(BadgeClass.id).where(BadgeClass.server_id == server_id, BadgeClass.entity_id == badge)
    return session.scalar(query)
