"""What the editor of a rule offers: the activities of the course by their kind, and badges that can be asked for."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.domain.naming import ACTIVITY, COURSE, COURSE_GRADE, MODULE, WHOLE_TITLES
from lti_tool.models import Activity, BadgeClass, Course
from lti_tool.services import drafts
from lti_tool.services.drafts import Draft
from lti_tool.services.reports.activities import label_of, labels_of
from lti_tool.services.reports.preview import Preview, preview
from lti_tool.services.standings import Subject

NAMES = 10
WHOLE_COURSE = "The whole course"
# The first kinds stand first; what is not named here stands between, under its own word.
KINDS = {ACTIVITY: "Activities", MODULE: "Modules", COURSE: WHOLE_COURSE, COURSE_GRADE: WHOLE_COURSE}
NOT_KNOWN = "Not known in the LMS yet"


@dataclass(frozen=True)
class ActivityChoice:
    """An activity to choose, by our key, or by its kind where there is one in every course."""

    id: int | str
    title: str
    label: str


@dataclass(frozen=True)
class Offer:
    """What there is to choose from: activities by the label of their kind, badges by our key, the rule's own badge."""

    activities: dict[str, list[ActivityChoice]]
    badges: dict[int, str]
    own_badge_id: int | None
    is_canvas: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of the course but that there is one."""
        return set(self.activities) <= {WHOLE_COURSE}

    @property
    def titles(self) -> dict[int, str]:
        """The titles of all activities."""
        every = [choice for choices in self.activities.values() for choice in choices]
        return {choice.id: choice.title for choice in every if isinstance(choice.id, int)}


def editor_offer(session: Session, course_id: int, own_badge: int | str | None) -> Offer:
    """What a rule of this course can be made of; `own_badge` is the badge it awards: our key, or its id at Badgr."""
    course = session.get_one(Course, course_id)
    query = select(Activity).where(Activity.course_id == course.id).order_by(Activity.title, Activity.id)
    found = session.scalars(query).all()
    labels = labels_of(found)
    activities: dict[str, list[ActivityChoice]] = {}
    for one in sorted(found, key=_place):
        activities.setdefault(_group(one), []).append(ActivityChoice(one.id, one.title, labels[one.id]))
    # Of these there is one in every course, though nothing was told of it yet.
    for kind, title in WHOLE_TITLES.items():
        if kind not in {one.kind for one in found}:
            choice = ActivityChoice(kind, title, label_of(title, kind))
            activities.setdefault(WHOLE_COURSE, []).append(choice)
    # Last: a name that a teacher entered, perhaps wrongly.
    if unknown := activities.pop(NOT_KNOWN, None):
        activities[NOT_KNOWN] = unknown
    is_canvas = course.deployment.platform.is_canvas
    return Offer(activities, drafts.offered_badges(session, course), _own(session, course, own_badge), is_canvas)


def _group(activity: Activity) -> str:
    if activity.external_id is None and activity.kind not in WHOLE_TITLES:
        return NOT_KNOWN
    return KINDS.get(activity.kind, activity.kind.capitalize())


def _place(activity: Activity) -> tuple[int, bool, str]:
    order = list(KINDS)
    return order.index(activity.kind) if activity.kind in order[1:] else 0, activity.kind != ACTIVITY, activity.kind


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
