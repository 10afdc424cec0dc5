"""What a teacher decides on single awards or many: approve or refuse, keep or take back what results do not earn."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.models import Award, Enrolment, OnFall, RevokedBy, RuleVersion
from lti_tool.models.award import FELL, REFUSED
from lti_tool.services import awarding, chains, issuers, revocation
from lti_tool.services.evaluation import ALIVE
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)


def approve(
    tools: Toolbox, course_id: int, award_ids: Sequence[int], who: str, now: datetime, *, approved: bool
) -> int:
    """Let awards that wait for a teacher go out, or refuse them; how many. One that does not wait any more is left."""
    with tools.database.write() as session:
        count = 0
        for award in _find(session, course_id, award_ids):
            if not award.awaits_approval or award.status not in ALIVE:
                continue
            count += 1
            award.awaits_approval = False
            if not approved:
                revocation.start(session, award, REFUSED, who, RevokedBy.TEACHER, now)
                continue
            awarding.add_step(session, award, "approved", f"{who} approved it.", now)
            session.flush()
            _settle(session, award, now)
            chains.follow(session, [award], now)
        session.commit()
        log.info("awards_decided", course_id=course_id, awards=count, approved=approved)
        return count


def decide_fall(
    tools: Toolbox, course_id: int, award_ids: Sequence[int], who: str, now: datetime, *, keep: bool
) -> int:
    """Keep awards whose results do not earn them any more, or revoke them; how many.

    Raises NotFoundError, InvalidInputError, and ConflictError when the account may not revoke.
    """
    with tools.database.write() as session:
        count = 0
        found = _find(session, course_id, award_ids)
        if not keep and any(revocation.was_sent(a) and not a.may_be_revoked for a in found):
            raise ConflictError(issuers.STAFF_ONLY)
        for award in found:
            if award.fell_at is None or award.fall_kept_at is not None or award.status not in ALIVE:
                continue
            if keep:
                award.fall_kept_at = now
                awarding.add_step(session, award, "kept", f"{who} keeps it, whatever the results say now.", now)
                count += 1
            else:
                count += revocation.start(session, award, FELL, who, RevokedBy.FALL, now)
        session.commit()
        log.info("falls_decided", course_id=course_id, awards=count, keep=keep)
        return count


def proposals(course_id: int) -> Select[Award]:
    """The awards whose results fell and that wait for a teacher's word, the oldest first."""
    return (
        select(Award)
        .join(RuleVersion, RuleVersion.id == Award.rule_version_id)
        .where(
            Award.course_id == course_id,
            Award.fell_at.is_not(None),
            Award.fall_kept_at.is_(None),
            Award.status.in_(ALIVE),
            Award.revocation_reason.is_(None),
            RuleVersion.on_fall != OnFall.KEEP,
        )
        .order_by(Award.fell_at, Award.id)
    )


def waiting_for_approval(course_id: int, rule_id: int | None = None) -> Select[Award]:
    """The awards that wait for a teacher's approval, the oldest first."""
    query = select(Award).where(Award.course_id == course_id, Award.awaits_approval, Award.status.in_(ALIVE))
    if rule_id is not None:
        query = query.where(Award.rule_id == rule_id)
    return query.order_by(Award.id)


def _find(session: Session, course_id: int, award_ids: Sequence[int]) -> list[Award]:
    if not award_ids:
        raise InvalidInputError("Choose at least one award.")
    meant = (Award.course_id == course_id) & Award.id.in_(award_ids)
    awarding.lock_people(session, course_id, select(Award.person_id).where(meant))
    query = select(Award).where(meant).order_by(Award.id)
    found = list(session.scalars(query.with_for_update()))
    if len(found) != len(set(award_ids)):
        raise NotFoundError("There is no such award in this course.")
    return found


def _settle(session: Session, award: Award, now: datetime) -> None:
    enrolment = session.scalar(select(Enrolment).filter_by(course_id=award.course_id, person_id=award.person_id))
    if enrolment is not None:
        awarding.settle(session, award, enrolment, now)
