"""The scores in a badge's column of the gradebook: one point for everybody who has it, none for who has lost it."""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lti_tool.db import wake
from lti_tool.logs import get_logger
from lti_tool.lti import ags
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.services import ServiceClient
from lti_tool.models import Award, AwardStatus
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

RETRY = timedelta(minutes=5)


def schedule(session: Session, award: Award, now: datetime) -> None:
    """Let the score be sent of an award that was issued, or was taken back after that."""
    award.score_sent_at, award.score_due_at, award.score_advice = None, now, None
    wake(session, "score", award.id)


def schedule_loss(session: Session, award: Award, now: datetime) -> None:
    """Let the point be taken back that was given for an award, or was about to be."""
    if award.rule.has_column and (award.score_sent_at is not None or award.score_due_at is not None):
        schedule(session, award, now)


def due_scores(session: Session, now: datetime, limit: int = 1000) -> list[int]:
    """The awards whose score should be sent now."""
    return list(session.scalars(select(Award.id).where(Award.score_due_at <= now).limit(limit)))


def send_score(tools: Toolbox, award_id: int, now: datetime) -> None:
    """Send the score of an award if it is due; sending it twice does no harm."""
    with tools.database.read() as session:
        award = session.get(Award, award_id)
        if award is None or award.score_due_at is None or award.score_due_at > now:
            return
        url, sub, due_at = award.rule.line_item_url, award.person.sub, award.score_due_at
        platform_id = award.course.deployment.platform_id
        # Somebody may have earned it again meanwhile: what counts is what they have now.
        same = (Award.rule_id == award.rule_id) & (Award.person_id == award.person_id)
        issued = select(Award.id).where(same, Award.status == AwardStatus.ISSUED).limit(1)
        points = 1 if session.scalar(issued) is not None else 0
    outcome: dict[str, object] = {"score_sent_at": now, "score_due_at": None, "score_advice": None}
    if url is not None:
        try:
            ags.post_score(ServiceClient(tools.database, tools.vault, tools.http), platform_id, url, sub, points, now)
        except LtiServiceError as error:
            log.warning("score_not_sent", award_id=award_id, status=error.status, retryable=error.retryable)
            again = now + RETRY if error.retryable else None
            outcome = {"score_due_at": again, "score_advice": error.advice[:1000]}
    with tools.database.write() as session:
        # Unless it was asked for once more meanwhile: that comes next.
        session.execute(update(Award).where(Award.id == award_id, Award.score_due_at == due_at).values(outcome))
        session.commit()
