"""The instructor's first page: how far the set-up is, what is stuck, and the rules with their numbers."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.criteria import badges_of, describe
from lti_tool.models import Award, AwardStatus, BadgeClass, Course, HoldReason, Rule, RuleStatus
from lti_tool.services import awarding, decisions, facts, grants, holding
from lti_tool.services.reports.common import ON_THE_WAY, BadgeView, badge_view
from lti_tool.services.reports.runs import RunView, waiting_runs


@dataclass(frozen=True)
class Counts:
    """Learners of the course and awards by where they stand."""

    learners: int
    issued: int
    on_the_way: int
    held: int
    failed: int


@dataclass(frozen=True)
class RuleCard:
    """A rule on the first page."""

    id: int
    badge: BadgeView
    sentence: str
    status: str
    issued: int
    learners: int


@dataclass(frozen=True)
class ArchivedRule:
    """A rule that was put away."""

    id: int
    name: str


@dataclass(frozen=True)
class ConnectionView:
    """The connection that awards this course's badges."""

    user_name: str
    server_name: str
    alive: bool
    dead_reason: str | None
    made_by: str
    # When it ends by itself; None where that is not known, or it renews itself.
    ends_at: datetime | None


@dataclass(frozen=True)
class Stuck:
    """Awards that wait for somebody, by cause."""

    label: str
    advice: str
    number: int
    is_no_connection: bool
    # Held by us, else refused by Badgr.
    is_held: bool = True


@dataclass(frozen=True)
class CourseReport:
    """Everything on the instructor's first page."""

    connection: ConnectionView | None
    issuer_name: str | None
    counts: Counts
    rules: list[RuleCard]
    archived: list[ArchivedRule]
    stuck: list[Stuck]
    roster_error: str | None
    # When results were read from the LMS last, what could not be read, and whether that was all of it.
    pulled_at: datetime | None
    pull_error: str | None
    pull_has_failed: bool
    # What waits for a teacher's decision: runs, awards to approve, awards whose results fell.
    runs: list[RunView]
    approvals: int
    falls: int

    @property
    def was_set_up(self) -> bool:
        """Whether any rule was ever switched on; one that is paused since is no task."""
        return any(rule.status != RuleStatus.DRAFT for rule in self.rules)

    @property
    def has_active_rule(self) -> bool:
        """Whether any rule is switched on."""
        return any(rule.status == RuleStatus.ACTIVE for rule in self.rules)


def course_report(session: Session, course_id: int) -> CourseReport:
    """The first page of a course, in a constant number of queries."""
    course = session.get_one(Course, course_id)
    by_status = _award_counts(session, course_id)
    learners = session.scalar(
        select(func.count()).select_from(awarding.learner_query(course_id).order_by(None).subquery())
    )
    counts = Counts(
        learners=learners or 0,
        issued=by_status.get(AwardStatus.ISSUED, 0),
        on_the_way=sum(by_status.get(status, 0) for status in ON_THE_WAY),
        held=by_status.get(AwardStatus.HELD, 0),
        failed=by_status.get(AwardStatus.FAILED, 0),
    )
    return CourseReport(
        connection=_connection(session, course),
        issuer_name=course.issuer_name,
        counts=counts,
        rules=_rules(session, course, counts.learners),
        archived=_archived(session, course_id),
        stuck=_stuck(session, course_id, counts.failed),
        roster_error=course.roster_error,
        pulled_at=course.pulled_at,
        pull_error=course.pull_error,
        pull_has_failed=course.pull_failures > 0,
        runs=waiting_runs(session, course_id),
        approvals=_number(session, decisions.waiting_for_approval(course_id)),
        falls=_number(session, decisions.proposals(course_id)),
    )


def _number(session: Session, query: Select[Award]) -> int:
    return session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0


def _award_counts(session: Session, course_id: int) -> dict[AwardStatus, int]:
    query = select(Award.status, func.count()).where(Award.course_id == course_id).group_by(Award.status)
    return dict(session.execute(query).all())


def _connection(session: Session, course: Course) -> ConnectionView | None:
    connection = course.connection
    if connection is None:
        return None
    return ConnectionView(
        user_name=connection.badgr_user_name,
        server_name=connection.server.name,
        alive=connection.is_alive,
        dead_reason=connection.dead_reason,
        made_by=grants.owner_of(session, connection),
        ends_at=connection.ends_at,
    )


def _rules(session: Session, course: Course, learners: int) -> list[RuleCard]:
    titles = facts.activity_titles(session, course.id)
    issued = dict(
        session.execute(
            select(Award.rule_id, func.count())
            .where(Award.course_id == course.id, Award.status == AwardStatus.ISSUED)
            .group_by(Award.rule_id)
        ).all()
    )
    rules = session.scalars(
        select(Rule)
        .where(Rule.course_id == course.id, Rule.status != RuleStatus.ARCHIVED)
        .options(joinedload(Rule.badge_class))
        .order_by(Rule.id)
    ).all()
    names = facts.badge_names(session, set().union(*(badges_of(rule.criteria) for rule in rules)))
    return [
        RuleCard(
            id=rule.id,
            badge=badge_view(rule.badge_class),
            sentence=describe(rule.criteria, titles, names),
            status=rule.status.value,
            issued=issued.get(rule.id, 0),
            learners=learners,
        )
        for rule in rules
    ]


def _archived(session: Session, course_id: int) -> list[ArchivedRule]:
    query = (
        select(Rule.id, BadgeClass.name)
        .join(BadgeClass, BadgeClass.id == Rule.badge_class_id)
        .where(Rule.course_id == course_id, Rule.status == RuleStatus.ARCHIVED)
        .order_by(BadgeClass.name, Rule.id)
    )
    return [ArchivedRule(row.id, row.name) for row in session.execute(query)]


def _stuck(session: Session, course_id: int, failed: int) -> list[Stuck]:
    query = (
        select(Award.hold_reason, func.count())
        .where(Award.course_id == course_id, Award.status == AwardStatus.HELD)
        .group_by(Award.hold_reason)
    )
    held = [
        Stuck(holding.HOLD_LABEL[reason], holding.HOLD_ADVICE[reason], number, reason is HoldReason.NO_CONNECTION)
        for reason, number in session.execute(query)
        # Those that wait for a decision are told with the way to it.
        if reason not in (None, HoldReason.APPROVAL, HoldReason.BRAKE)
    ]
    refused = Stuck(
        "Not accepted by Badgr",
        "Open the award to see what Badgr said, mend that, and press “Send again”.",
        failed,
        is_no_connection=False,
        is_held=False,
    )
    return held + ([refused] if failed else [])
