"""Why awarding or revoking by hand would change nothing: what stands in its way, and at which award to act."""

from collections.abc import Sequence
from dataclasses import dataclass

from lti_tool.models import Award, AwardStatus, Rule
from lti_tool.services import repeats
from lti_tool.services.evaluation import ALIVE
from lti_tool.services.holding import HOLD_LABEL


@dataclass(frozen=True)
class Obstacle:
    """What is so already, in words; and the award of this course on whose page something can be done about it."""

    words: str
    award_id: int | None = None


def to_awarding(rule: Rule, former: Sequence[Award]) -> Obstacle:
    """Why somebody with these awards of the badge, by number, is not awarded it once more."""
    award = repeats.latest_of(rule, former)
    if award is None or award.course_id != rule.course_id:
        return Obstacle("Has earned the badge in another course")
    return Obstacle(_standing(award), None if award.status is AwardStatus.ISSUED else award.id)


def to_revoking(rule: Rule, former: Sequence[Award]) -> Obstacle:
    """Why there is nothing to revoke by this rule for somebody with these awards of the badge."""
    alive = [award for award in former if award.status in ALIVE]
    here = [award for award in alive if award.course_id == rule.course_id]
    if not alive:
        return Obstacle("Has no badge to revoke")
    if not here:
        return Obstacle("Has the badge from another course; it can be revoked there")
    award = here[-1]
    if award.revocation_reason:
        return Obstacle("Is being revoked already", award.id)
    return Obstacle("Has the badge by another rule of this course; revoke it on the page of the award", award.id)


def _standing(award: Award) -> str:
    if award.revocation_reason:
        return "Is being revoked; award it when that is done"
    if award.status is AwardStatus.HELD and award.hold_reason is not None:
        return f"Has earned it already. {HOLD_LABEL[award.hold_reason]}"
    if award.status is AwardStatus.FAILED:
        return "Has earned it already, but Badgr did not accept it; send it again on the page of the award"
    return "Has the badge already" if award.status is AwardStatus.ISSUED else "Is being issued already"
