"""Who may load what: a course is entered by a launch, and loading something in it is the permission check.

The course stands in the address; the session cookie only says which browser this is. So several courses open in
several tabs never mix, and one browser may be a teacher here and a learner there.
"""

import hashlib
import secrets

from flask import Request, g, session
from flask_login import LoginManager, UserMixin, current_user

from lti_tool.errors import ConflictError, NotFoundError
from lti_tool.models import Visit
from lti_tool.services import admins, launches, rules
from lti_tool.services.admins import Admin
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


class Administrator(UserMixin):  # type: ignore[misc]
    """Somebody who administers the tool, or one installation of it."""

    def __init__(self, admin: Admin) -> None:
        self.admin = admin

    def get_id(self) -> str:
        """Required by flask-login; the visit is looked up by cookie, never by this."""
        return self.admin.name


class SignInError(Exception):
    """Nobody has signed in as an administrator in this browser."""


def register(logins: LoginManager) -> None:
    """Let flask-login find the visitor of a request."""
    logins.request_loader(_load_visitor)


def session_digest(*, create: bool = False) -> str:
    """What the database knows this browser session by; the cookie's own value is never stored."""
    if "sid" not in session and create:
        session["sid"] = secrets.token_urlsafe(32)
    return digest_of(str(session.get("sid", "")))


def digest_of(sid: str) -> str:
    """What the database knows a session by."""
    return hashlib.sha256(sid.encode()).hexdigest()


def enter_as_teacher() -> Visit:
    """The visit of somebody who teaches the course in the address; raises NotFoundError for everybody else."""
    visit = enter()
    if not visit.role.teaches:
        raise NotFoundError(NO_ENTRY)
    return visit


def enter_rule(course_id: int, rule_id: int) -> Visit:
    """The visit of somebody who teaches the course of this rule; raises NotFoundError for everybody else.

    Before anything else of the request is looked at: strangers learn nothing from what is said about it.
    """
    visit = enter_as_teacher()
    with tools().database.read() as session:
        rules.find(session, course_id, rule_id)
    return visit


def connection_id(visit: Visit) -> int:
    """The Badgr connection of the course; raises ConflictError when there is none."""
    if visit.course.connection_id is None:
        raise ConflictError("Connect the course to Badgr first, on its first page.", "Badgr is not connected yet")
    return visit.course.connection_id


def enter() -> Visit:
    """The visit to the course in the address; raises NotFoundError when there is none."""
    if not current_user.is_authenticated:
        raise NotFoundError(NO_ENTRY)
    visit: Visit = current_user.visit
    return visit


def enter_as_admin() -> Admin:
    """Whoever administers here, all of it or one installation; raises SignInError when nobody has signed in."""
    if not current_user.is_authenticated:
        raise SignInError
    admin: Admin = current_user.admin
    return admin


def enter_as_local_admin() -> Admin:
    """A local administrator; raises SignInError, and NotFoundError for administrators of an LMS."""
    admin = enter_as_admin()
    if not admin.is_local:
        raise NotFoundError("Only the administrator of the Badges tool can do this.")
    return admin


def _load_visitor(request: Request) -> Visitor | Administrator | None:
    if (request.blueprint or "").startswith("admin"):
        admin = admins.find(tools(), session_digest(), utc_now()) if "sid" in session else None
        return Administrator(admin) if admin else None
    course_id = (request.view_args or {}).get("course_id")
    if course_id is None or "sid" not in session:
        return None
    visit = launches.find_visit(tools(), session_digest(), course_id, utc_now())
    if visit is None:
        return None
    g.frame_origin = visit.return_url or ""
    return Visitor(visit)
