"""Who may load what: a course is entered by a launch, and loading something in it is the permission check.

The course stands in the address; the session cookie only says which browser this is. So several courses open in
several tabs never mix, and one browser may be a teacher here and a learner there.
"""

import hashlib
import secrets

from flask import Request, session
from flask_login import LoginManager, UserMixin, current_user

from lti_tool.errors import NotFoundError
from lti_tool.models import Visit
from lti_tool.services import launches
from lti_tool.web.parts import tools, utc_now

NO_ENTRY = (
    "This page does not exist, or your visit to the course has ended. Go to the course in your LMS and open Badges "
    "there again."
)


class Visitor(UserMixin):  # type: ignore[misc]
    """Somebody who entered the course in the address by a launch."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit

    def get_id(self) -> str:
        """Required by flask-login; the visit is looked up by cookie and address, never by this."""
        return str(self.visit.id)


def register(logins: LoginManager) -> None:
    """Let flask-login find the visitor of a request."""
    logins.request_loader(_load_visitor)


def session_digest(*, create: bool = False) -> str:
    """What the database knows this browser session by; the cookie's own value is never stored."""
    if "sid" not in session and create:
        session["sid"] = secrets.token_urlsafe(32)
    return hashlib.sha256(str(session.get("sid", "")).encode()).hexdigest()


def enter_as_teacher() -> Visit:
    """The visit of somebody who teaches the course in the address; raises NotFoundError for everybody else."""
    visit = enter()
    if not visit.role.teaches:
        raise NotFoundError(NO_ENTRY)
    return visit


def enter() -> Visit:
    """The visit to the course in the address; raises NotFoundError when there is none."""
    if not current_user.is_authenticated:
        raise NotFoundError(NO_ENTRY)
    visit: Visit = current_user.visit
    return visit


def _load_visitor(request: Request) -> Visitor | None:
    course_id = (request.view_args or {}).get("course_id")
    if course_id is None or "sid" not in session:
        return None
    visit = launches.find_visit(tools(), session_digest(), course_id, utc_now())
    return Visitor(visit) if visit else None
