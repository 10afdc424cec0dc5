"""Connecting to Badgr, in a tab of its own: consent pages do not open in frames.

The tab gets no session from the frame (partitioned cookies). What it may do comes by a signed ticket that names the
course and the person and can start nothing but this; what it has begun is kept in the tab's own session.
"""

import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request, session, url_for
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select
from werkzeug.wrappers import Response

from lti_tool.badgr import oauth
from lti_tool.badgr.errors import BadgrError
from lti_tool.errors import InvalidInputError
from lti_tool.models import BadgrServer, Course, Person, Visit
from lti_tool.services import connections
from lti_tool.web.parts import public_url, tools, utc_now

blueprint = Blueprint("badgr", __name__, url_prefix="/badgr")

TICKET_SECONDS = 3600
TICKET_ENDED = (
    "This link to Badgr has ended. Go back to Badges in your course, reload the page and press Connect again."
)


@dataclass(frozen=True)
class ServerView:
    """A Badgr server to choose."""

    id: int
    name: str
    ui_host: str


def ticket_for(visit: Visit) -> str:
    """A ticket for the holder of this visit to connect this course to Badgr, for one hour."""
    return str(_tickets().dumps([visit.course_id, visit.person_id]))


@blueprint.get("/connect")
def connect() -> str:
    """Say what is about to be connected, and offer the servers."""
    ticket = request.args.get("ticket", "")
    course_id, person_id = _read(ticket)
    with tools().database.read() as db:
        servers = db.scalars(select(BadgrServer).order_by(BadgrServer.name)).all()
        course = db.get_one(Course, course_id)
        return render_template(
            "badgr/connect.html",
            ticket=ticket,
            course_title=course.title or course.label or course.context_id,
            platform_name=course.deployment.platform.name,
            person_name=db.get_one(Person, person_id).display_name,
            servers=[ServerView(s.id, s.name, urlsplit(s.ui_url).netloc) for s in servers],
        )


@blueprint.post("/begin")
def begin() -> Response:
    """Send the browser to the consent page of the chosen server."""
    course_id, person_id = _read(request.form.get("ticket", ""))
    server_id = request.form.get("server", type=int)
    try:
        address = connections.server_address(tools(), server_id or 0)
    except LookupError:
        raise InvalidInputError("Choose one of the Badgr servers in the list.") from None
    state, verifier = secrets.token_urlsafe(32), oauth.new_verifier()
    session["badgr"] = {
        "state": state,
        "verifier": verifier,
        "server": server_id,
        "course": course_id,
        "person": person_id,
    }
    url = oauth.authorization_url(address, _redirect_uri(), oauth.NEEDED_SCOPES, state, verifier)
    return redirect(url, 303)


@blueprint.get("/callback")
def callback() -> tuple[str, int] | str:
    """The way back from the consent page, with a code or a refusal."""
    # Taken out at once: a state is good for one answer.
    begun = session.pop("badgr", None)
    if begun is None or not secrets.compare_digest(str(begun["state"]), request.args.get("state", "")):
        return _failed("This answer was not expected", TICKET_ENDED, 400)
    if error := request.args.get("error"):
        return _failed(*_refusal(error), 200)
    consent = connections.Consent(begun["course"], begun["person"], begun["server"], begun["verifier"])
    try:
        connection = connections.complete(tools(), consent, request.args.get("code", ""), _redirect_uri(), utc_now())
    except BadgrError as fault:
        return _failed("Badgr did not complete the connection", fault.advice, 502)
    with tools().database.read() as db:
        course = db.get_one(Course, consent.course_id)
        server = db.get_one(BadgrServer, consent.server_id)
        return render_template(
            "badgr/connected.html",
            user_name=connection.badgr_user_name,
            server_name=server.name,
            course_title=course.title or course.label or course.context_id,
        )


def _refusal(error: str) -> tuple[str, str]:
    if error == "access_denied":
        advice = "You did not allow the connection, so nothing has changed. Press Connect in the course to try again."
        return "Not connected", advice
    advice = "Badgr refused to ask for your consent. The administrator of the Badges tool must check its Badgr key."
    return "Badgr refused", advice


def _failed(title: str, advice: str, status: int) -> tuple[str, int]:
    return render_template("badgr/failed.html", title=title, advice=advice), status


def _read(ticket: str) -> tuple[int, int]:
    try:
        course_id, person_id = _tickets().loads(ticket, max_age=TICKET_SECONDS)
    except BadSignature:
        raise InvalidInputError(TICKET_ENDED, "This link has ended") from None
    return int(course_id), int(person_id)


def _tickets() -> URLSafeTimedSerializer:
    # itsdangerous signs with the last key and accepts all; our settings name the newest first.
    keys = [key.get_secret_value() for key in reversed(tools().settings.secret_keys)]
    return URLSafeTimedSerializer(keys, salt="badgr-connect")


def _redirect_uri() -> str:
    return public_url(url_for("badgr.callback"))
