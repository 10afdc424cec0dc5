"""The learner's page: badges earned, badges on their way, and what is missing to the others."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.criteria import describe
from lti_tool.domain.decision import last_day
from lti_tool.models import Award, AwardStatus, HoldReason, Rule, RuleStatus
from lti_tool.services import awarding, facts, repeats
from lti_tool.services.facts import FactBook
from lti_tool.services.reports.common import BadgeView, ReasonView, badge_view, reason_views, state_of

DETAIL = {
    "issued": "Issued by Badgr.",
    "on_the_way": "Earned. Badgr is issuing it; this takes a moment.",
    "failed": "Earned. Badgr did not take it yet; your teacher can see why and send it again.",
    "revoked": "This badge was taken back.",
}
HOLD_DETAIL = {
    HoldReason.NO_EMAIL: (
        "Earned. It waits because your LMS does not tell us your e-mail address. Ask your teacher or the people who "
        "run the LMS; the badge then comes by itself."
    ),
    HoldReason.NOT_ON_ROSTER: "Earned. It waits until the LMS confirms that you are in this course.",
    HoldReason.NOT_A_LEARNER: "Badges go to learners of this course only.",
    HoldReason.NO_CONNECTION: (
        "Earned. It waits because the course is not connected to Badgr at the moment. Your teacher has been told; "
        "you need not do anything."
    ),
    HoldReason.OTHER_SERVER: (
        "Earned. It waits because the course has changed its badge service. Your teacher has been told; you need not "
        "do anything."
    ),
    HoldReason.ISSUER_NOT_ALLOWED: (
        "Earned. It waits because your institution has to allow it first. Your teacher has been told; you need not do "
        "anything."
    ),
    HoldReason.APPROVAL: "Earned. It comes when your teacher has looked at it and approved it.",
    HoldReason.BRAKE: "Earned. Your teacher is asked to confirm a long list of badges, and yours is on it.",
}
LABEL = {
    "issued": "Earned",
    "on_the_way": "Earned, being issued",
    "held": "Earned, held",
    "failed": "Earned, delayed",
    "revoked": "Revoked",
}


@dataclass(frozen=True)
class EarnedBadge:
    """A badge that this learner has earned, wherever it is on its way."""

    rule_id: int
    award_id: int
    badge: BadgeView
    status: str
    status_label: str
    detail: str
    date: datetime | None
    verify_url: str | None


@dataclass(frozen=True)
class OpenBadge:
    """A badge that this learner can still earn; `progress` is 0 to 1."""

    rule_id: int
    badge: BadgeView
    sentence: str
    progress: float
    reasons: list[ReasonView]
    # The days whose results count, for this learner; and whether they are over.
    counts_from: datetime | None
    counts_until: datetime | None
    is_over: bool


@dataclass(frozen=True)
class LearnerReport:
    """Everything on the learner's page."""

    earned: list[EarnedBadge]
    open: list[OpenBadge]

    def only(self, rule_id: int) -> "LearnerReport":
        """What belongs to one rule; everything when nothing does (it may not be switched on yet)."""
        earned = [badge for badge in self.earned if badge.rule_id == rule_id]
        still_open = [badge for badge in self.open if badge.rule_id == rule_id]
        return LearnerReport(earned, still_open) if earned or still_open else self


def learner_report(session: Session, course_id: int, person_id: int, now: datetime) -> LearnerReport:
    """The badges of one course for one learner."""
    rules = session.scalars(
        select(Rule)
        .where(Rule.course_id == course_id, Rule.status != RuleStatus.DRAFT)
        .options(joinedload(Rule.badge_class))
        .order_by(Rule.status != RuleStatus.ARCHIVED, Rule.id)
    ).all()
    # Of several rules for one badge the last, rather one that is in use: those that are archived stand first.
    shown = {rule.badge_class_id: rule for rule in rules}
    # Each badge once, as it stands now: of one that was earned again, the newest.
    numbered = awarding.awards_of(session, list(shown), [person_id])
    latest = {key: repeats.latest_of(rule, numbered.get((person_id, key), [])) for key, rule in shown.items()}
    awards = {key: award for key, award in latest.items() if award is not None}
    book = facts.read_facts(session, course_id, rules, [person_id])
    # An archived rule shows what it has awarded: whoever has the badge keeps it.
    earned = [
        _earned(shown[key], award)
        for key, award in awards.items()
        if shown[key].status is not RuleStatus.ARCHIVED or award.course_id == course_id
    ]
    still_open = [
        _open(rule, book, person_id, now)
        for rule in rules
        if rule.status is RuleStatus.ACTIVE
        and repeats.may_earn(rule.current.repeat, course_id, numbered.get((person_id, rule.badge_class_id), []))
    ]
    return LearnerReport(earned, still_open)


def _earned(rule: Rule, award: Award) -> EarnedBadge:
    status = state_of(award)
    return EarnedBadge(
        rule_id=rule.id,
        award_id=award.id,
        badge=badge_view(rule.badge_class),
        status=status,
        status_label="Not approved" if award.was_refused else LABEL[status],
        detail=_detail(award, status),
        date=award.issued_at or award.achieved_at,
        verify_url=award.open_badge_id,
    )


def _detail(award: Award, status: str) -> str:
    if award.status is AwardStatus.HELD and award.hold_reason is not None:
        return HOLD_DETAIL[award.hold_reason]
    if award.was_refused:
        return "Your teacher did not approve this badge."
    if status == "revoked" and award.revocation_reason:
        return f"{DETAIL[status]} The reason given: {award.revocation_reason}"
    return DETAIL[status]


def _open(rule: Rule, book: FactBook, person_id: int, now: datetime) -> OpenBadge:
    decision, ask = book.decide(rule, person_id), rule.ask
    until = last_day(ask, book.of(rule.id, person_id))
    return OpenBadge(
        rule_id=rule.id,
        badge=badge_view(rule.badge_class),
        sentence=describe(rule.criteria, book.titles, book.badge_names),
        progress=decision.progress,
        reasons=reason_views(decision, book),
        counts_from=ask.counts_from if ask.counts_from is not None and ask.counts_from > now else None,
        counts_until=until,
        is_over=until is not None and until < now and not decision.earned,
    )
