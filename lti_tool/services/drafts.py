"""What an instructor asks for: checked, and stored as a version of a rule."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lti_tool.domain.criteria import (
    ActivityCondition,
    Ask,
    Criteria,
    activities_of,
    badges_of,
    check,
    criteria_to_json,
    moved_by,
)
from lti_tool.domain.naming import ACTIVITY, asks, kind_named
from lti_tool.errors import InvalidInputError, NotFoundError, OutdatedError
from lti_tool.models import Activity, BadgeClass, Course, OnFall, Repeat, Rule, RuleVersion
from lti_tool.services import activities

CHANGED = "Somebody has changed this rule since you looked."


@dataclass(frozen=True)
class Draft:
    """What an instructor asks for.

    An activity that no source has told of yet is named by its title: `new_activities` has it under the negative key
    by which the criteria speak of it, and `new_kinds` its kind where that is not a single activity.
    """

    criteria: Criteria
    new_activities: Mapping[int, str] = field(default_factory=dict)
    counts_from: datetime | None = None
    counts_until: datetime | None = None
    fully_graded: bool = True
    needs_approval: bool = False
    on_fall: OnFall = OnFall.KEEP
    repeat: Repeat = Repeat.ONCE
    new_kinds: Mapping[int, str] = field(default_factory=dict)

    @property
    def ask(self) -> Ask:
        """What is asked of a person."""
        return Ask(self.criteria, self.counts_from, self.counts_until, self.fully_graded)


def draft_of(version: RuleVersion) -> Draft:
    """What a version of a rule says."""
    return Draft(
        version.criteria,
        counts_from=version.counts_from,
        counts_until=version.counts_until,
        fully_graded=version.fully_graded,
        needs_approval=version.needs_approval,
        on_fall=version.on_fall,
        repeat=version.repeat,
    )


def mark(rule: Rule) -> str:
    """Tells whether a rule is as somebody saw it: what it asks, its options, and whether it is on.

    Not by the number of its version: a draft is changed without a new one.
    """
    said = draft_of(rule.current)
    told = [
        rule.status.value,
        criteria_to_json(said.criteria),
        str(said.counts_from),
        str(said.counts_until),
        said.fully_graded,
        said.needs_approval,
        said.on_fall.value,
        said.repeat.value,
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def check_mark(rule: Rule, shown: str | None) -> None:
    """Raise OutdatedError when a rule is not what was shown; None is whoever has not looked."""
    if shown is not None and shown != mark(rule):
        raise OutdatedError(CHANGED)


def offered_badges(session: Session, course: Course) -> dict[int, str]:
    """The badges that a rule of this course may ask for first: those of its issuer and of its own rules, by name."""
    own = select(Rule.badge_class_id).where(Rule.course_id == course.id)
    query = select(BadgeClass.id, BadgeClass.name).where(
        BadgeClass.id.in_(own)
        | (
            (BadgeClass.issuer_entity_id == course.issuer_entity_id)
            & (BadgeClass.server_id == (course.connection.server_id if course.connection else None))
        )
    )
    return {row.id: row.name for row in session.execute(query.order_by(BadgeClass.name, BadgeClass.id))}


def with_known(session: Session, course_id: int, draft: Draft) -> Draft:
    """The same draft, with the activities that it names by their titles as far as they are in our books already."""

    def key_of(condition: ActivityCondition) -> int:
        found = _known(session, course_id, draft, condition) if condition.activity_id < 0 else None
        return found.id if found else condition.activity_id

    return replace(draft, criteria=moved_by(draft.criteria, key_of))


def version(session: Session, rule: Rule, draft: Draft, number: int, person_id: int, now: datetime) -> RuleVersion:
    """A version of a rule that says what the draft says; raises as `fill` does."""
    made = RuleVersion(rule_id=rule.id, number=number, created_by_id=person_id, created_at=now)
    fill(session, rule, made, draft, now)
    return made


def fill(session: Session, rule: Rule, version: RuleVersion, draft: Draft, now: datetime) -> None:
    """Write a draft into a version; raises NotFoundError for a foreign activity or badge, InvalidInputError."""
    if draft.counts_from and draft.counts_until and draft.counts_from >= draft.counts_until:
        raise InvalidInputError("until: must be after the moment from which results count.")
    version.criteria_json = criteria_to_json(_criteria(session, rule, draft, now))
    version.counts_from, version.counts_until = draft.counts_from, draft.counts_until
    version.fully_graded, version.needs_approval = draft.fully_graded, draft.needs_approval
    version.on_fall, version.repeat = draft.on_fall, draft.repeat


def count_from(session: Session, rule: Rule, person_id: int, now: datetime) -> None:
    """Have results count from now on only, or from later where the rule says so; raises InvalidInputError.

    That is a version of its own once one was in use.
    """
    present = rule.current
    if present.counts_from is not None and present.counts_from >= now:
        return
    if present.counts_until is not None and present.counts_until <= now:
        until = present.counts_until
        raise InvalidInputError(f"This badge ended on {until.day} {until:%b %Y, %H:%M} UTC: change its last day first.")
    if rule.activated_at is None:
        present.counts_from = now
        return
    rule.version += 1
    session.add(
        RuleVersion(
            rule_id=rule.id,
            number=rule.version,
            # As it is stored: what it names may not be offered for new rules any more.
            criteria_json=present.criteria_json,
            counts_from=now,
            counts_until=present.counts_until,
            fully_graded=present.fully_graded,
            needs_approval=present.needs_approval,
            on_fall=present.on_fall,
            repeat=present.repeat,
            created_by_id=person_id,
            created_at=now,
        )
    )
    session.flush()
    session.refresh(rule)


def _criteria(session: Session, rule: Rule, draft: Draft, now: datetime) -> Criteria:
    """The criteria with every activity in our books; raises NotFoundError, InvalidInputError."""
    try:
        check(draft.criteria)
    except ValueError as error:
        raise InvalidInputError(f"criteria: {error}.") from None
    if rule.badge_class_id in badges_of(draft.criteria):
        raise InvalidInputError("criteria: a badge cannot be earned by having itself.")
    known = {key for key in activities_of(draft.criteria) if key >= 0}
    here = select(func.count()).where(Activity.id.in_(known), Activity.course_id == rule.course_id)
    if session.scalar(here) != len(known):
        raise NotFoundError("There is no such activity in this course.")
    if not badges_of(draft.criteria) <= offered_badges(session, rule.course).keys():
        raise NotFoundError("There is no such badge.")
    # For each condition on its own: grade and completion of one name may be two activities in the LMS.
    return moved_by(
        draft.criteria,
        lambda c: c.activity_id if c.activity_id >= 0 else _named(session, rule.course_id, draft, c, now),
    )


def _named(session: Session, course_id: int, draft: Draft, condition: ActivityCondition, now: datetime) -> int:
    known = _known(session, course_id, draft, condition)
    if known is not None:
        return known.id
    title, kind = _name(draft, condition.activity_id)
    activity = Activity(course_id=course_id, title=title, kind=kind, created_at=now)
    session.add(activity)
    session.flush()
    return activity.id


def _known(session: Session, course_id: int, draft: Draft, condition: ActivityCondition) -> Activity | None:
    title, kind = _name(draft, condition.activity_id)
    aspect = asks(condition)
    as_typed = activities.named(session, course_id, title, draft.new_kinds.get(condition.activity_id, ACTIVITY), aspect)
    return as_typed or activities.named(session, course_id, title, kind, aspect)


def _name(draft: Draft, key: int) -> tuple[str, str]:
    title = draft.new_activities[key]
    return title, kind_named(title, draft.new_kinds.get(key, ACTIVITY))
