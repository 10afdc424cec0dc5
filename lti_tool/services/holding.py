"""What holds an award back, in words: for the page of the course, for the time line, and what to do about it."""

from lti_tool.domain.launch import Role
from lti_tool.models import Award, Course, Enrolment, HoldReason, RunStatus

HOLD_LABEL = {
    HoldReason.NO_EMAIL: "Held: no e-mail address",
    HoldReason.NOT_ON_ROSTER: "Held: not on the course list yet",
    HoldReason.NOT_A_LEARNER: "Held: not a learner",
    HoldReason.NO_CONNECTION: "Held: no Badgr connection",
    HoldReason.OTHER_SERVER: "Held: the badge is at another Badgr server",
    HoldReason.ISSUER_NOT_ALLOWED: "Held: your institution does not allow this issuer",
    HoldReason.APPROVAL: "Waits for a teacher's approval",
    HoldReason.BRAKE: "Held: more awards at once than usual",
}
HOLD_ADVICE = {
    HoldReason.NO_EMAIL: (
        "The LMS does not tell this learner's address; ask the LMS administrator to let the "
        "Badges tool see e-mail addresses. The badge goes out by itself as soon as the address is known."
    ),
    HoldReason.NOT_ON_ROSTER: (
        "The LMS has not yet confirmed that this person is a learner in this course. The badge goes out by "
        "itself when the course list says so or the person opens Badges."
    ),
    HoldReason.NOT_A_LEARNER: (
        "This person is not a learner in this course (a teacher, an observer, a preview account, or somebody "
        "who has left it). No badge is sent."
    ),
    HoldReason.NO_CONNECTION: (
        "The course is not connected to Badgr. A teacher of the course can connect it on the Badges page; "
        "everything that waits goes out then."
    ),
    HoldReason.OTHER_SERVER: (
        "This badge belongs to another Badgr server than the one that the course is connected to now. Connect an "
        "account of that server again, or pause the rule and choose a badge of the present one."
    ),
    HoldReason.ISSUER_NOT_ALLOWED: (
        "The course awards by your institution's account, which is limited to other issuers than that of this badge. "
        "Ask the administrator of the Badges tool to allow the issuer, or connect your own account; then it goes out."
    ),
    HoldReason.APPROVAL: (
        "This badge is sent when a teacher of the course has approved it, on the page of the badge's rule."
    ),
    HoldReason.BRAKE: (
        "One act would award this badge to more people at once than is usual. A teacher of the course has to look at "
        "the list and confirm it, on the first page of Badges."
    ),
}


def why_held(course: Course, enrolment: Enrolment | None) -> HoldReason | None:
    """What keeps an award of this person in this course from being sent; None when nothing does."""
    if enrolment is None or enrolment.role is None:
        return HoldReason.NOT_ON_ROSTER
    if enrolment.is_test or not enrolment.active or enrolment.role is not Role.LEARNER:
        return HoldReason.NOT_A_LEARNER
    if not enrolment.person.badge_address:
        return HoldReason.NO_EMAIL
    return connection_fault(course)


def connection_fault(course: Course) -> HoldReason | None:
    """What keeps every award of this course from being sent; None when nothing does."""
    if course.connection is None or not course.connection.is_alive:
        return HoldReason.NO_CONNECTION
    return None


def why_award_held(award: Award, enrolment: Enrolment | None) -> HoldReason | None:
    """What keeps this award from being sent: a person's decision that it waits for, or else `why_held`.

    One that was taken back is only looked for at Badgr.
    """
    if award.revocation_reason is not None:
        return _server_fault(award)
    if award.run is not None and award.run.status is RunStatus.WAITING:
        return HoldReason.BRAKE
    if award.awaits_approval:
        return HoldReason.APPROVAL
    return why_held(award.course, enrolment) or _server_fault(award) or _issuer_fault(award)


def _server_fault(award: Award) -> HoldReason | None:
    """What keeps everything about this award from being asked at Badgr; no server is asked about another's badges."""
    connection = award.course.connection
    if connection is None or (fault := connection_fault(award.course)) is not None:
        return HoldReason.NO_CONNECTION if connection is None else fault
    return HoldReason.OTHER_SERVER if connection.server_id != award.badge_class.server_id else None


def _issuer_fault(award: Award) -> HoldReason | None:
    """Whether an institution has limited its account to other issuers; here every award comes by, whatever made it."""
    connection = award.course.connection
    is_allowed = connection is None or connection.allows(award.badge_class.issuer_entity_id)
    return None if is_allowed else HoldReason.ISSUER_NOT_ALLOWED
