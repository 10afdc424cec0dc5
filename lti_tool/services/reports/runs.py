"""Runs of a course: what was done, by whom, the awards that it brought, and what taking them back would do."""

from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.models import (
    Award,
    AwardRun,
    AwardStatus,
    BadgeClass,
    Person,
    Rule,
    RuleException,
    RuleStatus,
    RunCause,
    RunStatus,
)
from lti_tool.services import revocation, runs
from lti_tool.services.evaluation import ALIVE
from lti_tool.services.reports.common import ReasonView, label_of, reason_view, state_of
from lti_tool.services.reports.outdated import outdated, whats_missing

PAGE_SIZE = 100
ACT = {
    RunCause.SWITCH_ON: "switched on the badge",
    RunCause.EDIT: "changed what earns the badge",
    RunCause.BY_HAND: "awarded by hand",
    RunCause.EXCEPTION: "made exceptions for the badge",
    RunCause.REPLAY: "had events worked on again",
    RunCause.PULL: "had results read from the LMS",
}
STATUS = {
    RunStatus.OPEN: "Under way",
    RunStatus.WAITING: "Waits for a teacher",
    RunStatus.RELEASED: "Went out",
    RunStatus.UNDONE: "Taken back",
}


@dataclass(frozen=True)
class RunView:
    """A run: `act` is what was done, to be read after the name in `started_by`."""

    id: int
    act: str
    badge_name: str | None
    status: str
    status_label: str
    started_by: str
    started_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    awards: int
    # Exceptions brought it: they are taken back with it, and the rule goes on.
    by_exceptions: bool = False

    @property
    def is_waiting(self) -> bool:
        """Whether a teacher has to decide."""
        return self.status == RunStatus.WAITING

    @property
    def can_undo(self) -> bool:
        """Whether its awards can be taken back."""
        return self.status in (RunStatus.WAITING, RunStatus.RELEASED) and self.awards > 0


@dataclass(frozen=True)
class RunAward:
    """An award of a run, and why; and since when the results do not earn it any more, where they fell meanwhile.

    `missing` says what the rule as it is now asks for beyond, where it would not bring an award that waits.
    """

    id: int
    person_name: str
    badge_name: str
    status: str
    status_label: str
    achieved_at: datetime
    reasons: list[ReasonView]
    fell_at: datetime | None
    fall_detail: str
    missing: str | None = None


@dataclass(frozen=True)
class RunReport:
    """One page of a run's awards; how many of all that wait the rules as they are now would not bring.

    `mark` tells whether the run is as it was shown.
    """

    run: RunView
    awards: list[RunAward]
    page: int
    pages: int
    outdated: int
    mark: str


@dataclass(frozen=True)
class RunList:
    """One page of a course's runs, those that wait first and then the newest."""

    runs: list[RunView]
    page: int
    pages: int
    total: int


@dataclass(frozen=True)
class UndoView:
    """What taking a run back would do: to how many awards and exceptions, and which rules it would pause."""

    run: RunView
    at_badgr: int
    not_sent: int
    gone: int
    rules: list[str]
    exceptions: int
    may_revoke: bool


def run_report(session: Session, course_id: int, run_id: int, page: int) -> RunReport:
    """A run with a hundred of its awards, pages from 1; raises NotFoundError for a run of another course."""
    run = runs.find(session, course_id, run_id)
    view, of_run = _view(session, run), select(Award).where(Award.run_id == run_id)
    pages = max(1, ceil(view.awards / PAGE_SIZE))
    page = min(max(1, page), pages)
    query = (
        of_run.join(Person, Person.id == Award.person_id)
        .options(joinedload(Award.person), joinedload(Award.badge_class), joinedload(Award.rule))
        .order_by(*Person.in_order(), Award.id)
    )
    awards = session.scalars(query.limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)).all()
    old = outdated(session, of_run) if view.is_waiting else set()
    missing = whats_missing(session, course_id, awards, old)
    shown = [replace(_award(award), missing=missing.get(award.id)) for award in awards]
    return RunReport(view, shown, page, pages, len(old), runs.mark(session, run))


def run_list(session: Session, course_id: int, page: int) -> RunList:
    """The runs that have awards."""
    query = _with_awards(course_id)
    total = session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    pages = max(1, ceil(total / PAGE_SIZE))
    page = min(max(1, page), pages)
    rows = session.execute(query.limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE))
    return RunList([_view_of(run, badge, count) for run, badge, count in rows], page, pages, total)


def waiting_runs(session: Session, course_id: int) -> list[RunView]:
    """The runs that wait for a teacher, the oldest first."""
    query = _with_awards(course_id).where(AwardRun.status == RunStatus.WAITING).order_by(None).order_by(AwardRun.id)
    return [_view_of(run, badge, count) for run, badge, count in session.execute(query)]


def undo_view(session: Session, course_id: int, run_id: int) -> UndoView:
    """What would happen; raises NotFoundError."""
    run = runs.find(session, course_id, run_id)
    by_status = dict(
        session.execute(select(Award.status, func.count()).where(Award.run_id == run.id).group_by(Award.status)).all()
    )
    alive = sum(by_status.get(status, 0) for status in ALIVE)
    at_badgr = sum(by_status.get(status, 0) for status in revocation.AT_BADGR)
    paused = (
        select(BadgeClass.name)
        .join(Rule, Rule.badge_class_id == BadgeClass.id)
        .where(Rule.status == RuleStatus.ACTIVE)
        .where(Rule.id.in_(select(Award.rule_id).where(Award.run_id == run.id, ~Award.by_hand)))
    )
    exceptions = session.scalar(select(func.count()).where(RuleException.run_id == run.id)) or 0
    issuers = select(BadgeClass.issuer_entity_id).join(Award, Award.badge_class_id == BadgeClass.id)
    issuers = issuers.where(Award.run_id == run.id).distinct()
    return UndoView(
        run=_view(session, run),
        at_badgr=at_badgr,
        not_sent=alive - at_badgr,
        gone=sum(by_status.get(status, 0) for status in (AwardStatus.REVOKING, AwardStatus.REVOKED)),
        rules=[] if run.cause is RunCause.EXCEPTION else list(session.scalars(paused.order_by(BadgeClass.name))),
        exceptions=exceptions,
        may_revoke=all(run.course.may_revoke(issuer) for issuer in session.scalars(issuers)),
    )


def _with_awards(course_id: int) -> Select[AwardRun, str | None, int]:
    counted = select(Award.run_id, func.count().label("awards")).where(Award.course_id == course_id)
    numbers = counted.group_by(Award.run_id).subquery()
    return (
        select(AwardRun, BadgeClass.name, numbers.c.awards)
        .join(numbers, numbers.c.run_id == AwardRun.id)
        .outerjoin(Rule, Rule.id == AwardRun.rule_id)
        .outerjoin(BadgeClass, BadgeClass.id == Rule.badge_class_id)
        .where(AwardRun.course_id == course_id)
        .order_by(AwardRun.status != RunStatus.WAITING, AwardRun.id.desc())
    )


def _view(session: Session, run: AwardRun) -> RunView:
    count = session.scalar(select(func.count()).where(Award.run_id == run.id)) or 0
    return _view_of(run, run.rule.badge_class.name if run.rule else None, count)


def _view_of(run: AwardRun, badge_name: str | None, awards: int) -> RunView:
    return RunView(
        id=run.id,
        act=ACT[run.cause],
        badge_name=badge_name,
        status=run.status.value,
        status_label=STATUS[run.status],
        started_by=run.started_by,
        started_at=run.started_at,
        decided_by=run.decided_by,
        decided_at=run.decided_at,
        awards=awards,
        by_exceptions=run.cause is RunCause.EXCEPTION,
    )


def _award(award: Award) -> RunAward:
    return RunAward(
        id=award.id,
        person_name=award.person.display_name,
        badge_name=award.badge_class.name,
        status=state_of(award),
        status_label=label_of(award),
        achieved_at=award.achieved_at,
        reasons=[reason_view(reason) for reason in award.reasons],
        fell_at=award.fell_at,
        fall_detail=award.fall_detail or "",
    )
