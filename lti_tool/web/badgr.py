"""Consent at Badgr, in a tab of its own: consent pages do not open in frames. One redirect URI serves every purpose.

The tab gets no session from the frame (partitioned cookies). What it may do comes by a signed ticket that names who
wants what and can start nothing but this; what it has begun is kept in the tab's own session.
"""

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request, session, url_for
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select
from werkzeug.wrappers import Response

from lti_tool.badgr import oauth
from lti_tool.badgr.errors import BadgrError
from lti_tool.errors import InvalidInputError
from lti_tool.models import BadgrServer, Course, Deployment, Person, Visit
from lti_tool.services import backpacks, badge_hosts, grants, sign_in_limits
from lti_tool.services.backpack_tokens import Place, address_of
from lti_tool.web import access
from lti_tool.web.hygiene import row_id
from lti_tool.web.parts import public_url, tools, utc_now

blueprint = Blueprint("badgr", __name__, url_prefix="/badgr")

TICKET_SECONDS = 3600
TICKET_ENDED = (
    "This link to Badgr has ended. Go back to Badges in your course, reload the page and press Connect again."
)
COURSE, INSTITUTION, BACKPACK, SIGN_IN = "course", "institution", "backpack", "sign-in"


@dataclass(frozen=True)
class ServerView:
    """A Badgr server to choose."""

    id: int
    name: str
    ui_host: str


def ticket_for(visit: Visit, purpose: str = COURSE) -> str:
    """A ticket for the holder of this visit to connect this course, or an own account, for one hour."""
    return str(_tickets().dumps({"for": purpose, "course": visit.course_id, "person": visit.person_id}))


def institution_ticket(deployment_id: int, actor: str) -> str:
    """A ticket for an administrator to connect an account for all courses of a deployment, for one hour."""
    return str(_tickets().dumps({"for": INSTITUTION, "deployment": deployment_id, "actor": actor}))


@blueprint.get("/connect")
def connect() -> str:
    """Say what is about to be connected, and offer the servers."""
    ticket = request.args.get("ticket", "")
    told = _read(ticket)
    with tools().database.read() as db:
        facts = _facts(db, told)
    return render_template(
        "badgr/connect.html",
        ticket=ticket,
        facts=facts,
        purpose=told["for"],
        servers=servers(),
        hosts_too=_is_own(told),
    )


@blueprint.post("/begin")
def begin() -> Response | str:
    """Send the browser to the consent page of the chosen server or host."""
    told = _read(request.form.get("ticket", ""))
    host = request.form.get("host", "").strip()
    if not host or not _is_own(told):
        return redirect(_consent_url(told, Place(server_id=request.form.get("server", 0, type=row_id))), 303)
    is_doubted = "again" in request.form
    host_id = badge_hosts.enter(tools(), host, _redirect_uri(), utc_now(), is_doubted=is_doubted)
    place = Place(host_id=host_id)
    # A link, for the content policy lets forms lead only to the servers that an administrator has entered.
    url = _consent_url(told, place)
    keeper = urlsplit(address_of(tools(), place).api_url).netloc
    names = {"consent": urlsplit(url).netloc, "keeper": keeper}
    return render_template("badgr/host.html", url=url, **names, host=host, ticket=request.form.get("ticket", ""))


@blueprint.post("/sign-in")
def sign_in() -> Response:
    """Begin to sign in with Badgr outside the LMS."""
    place = Place(server_id=request.form.get("server", 0, type=row_id))
    return redirect(_consent_url({"for": SIGN_IN}, place), 303)


@blueprint.get("/callback")
def callback() -> tuple[str, int] | str | Response:
    """The way back from the consent page, with a code or a refusal."""
    # Taken out at once: a state is good for one answer.
    begun = session.pop("badgr", None)
    if begun is None or not secrets.compare_digest(
        str(begun["state"]).encode(), request.args.get("state", "").encode(errors="surrogatepass")
    ):
        return _failed("This answer was not expected", TICKET_ENDED, 400)
    if error := request.args.get("error"):
        return _failed(*_refusal(error), 200)
    code, told = request.args.get("code", ""), begun["told"]
    sign_in_limits.check_code(code)
    is_stranger = told["for"] == SIGN_IN
    who = (
        sign_in_limits.network(request.remote_addr or "")
        if is_stranger
        else f"{told.get('person')} {told.get('actor')}"
    )
    place = f"{begun['server']} {begun['host']}"
    try:
        with sign_in_limits.attempt(tools(), place, who, utc_now(), is_stranger=is_stranger):
            return _finish(begun, code)
    except BadgrError as fault:
        return _failed("Badgr did not complete the connection", fault.advice, 502)


def servers() -> list[ServerView]:
    """The Badgr servers to choose from."""
    with tools().database.read() as db:
        found = db.scalars(select(BadgrServer).order_by(BadgrServer.name)).all()
    return [ServerView(s.id, s.name, urlsplit(s.ui_url).netloc) for s in found]


def _consent_url(told: dict[str, Any], place: Place) -> str:
    try:
        address = address_of(tools(), place)
    except LookupError:
        raise InvalidInputError("Choose one of the Badgr servers in the list.") from None
    state, verifier = secrets.token_urlsafe(32), oauth.new_verifier()
    begun = {"state": state, "verifier": verifier, "server": place.server_id, "host": place.host_id, "told": told}
    session["badgr"] = begun
    return oauth.authorization_url(address, _redirect_uri(), _scopes(told, place), state, verifier)


def _scopes(told: dict[str, Any], place: Place) -> tuple[str, ...]:
    if told["for"] == SIGN_IN:
        return backpacks.SIGN_IN_SCOPES
    if _is_own(told):
        return backpacks.scopes_of(tools(), place)
    with tools().database.read() as db:
        return grants.wanted_scopes(db, place.server_id or 0)


def _finish(begun: dict[str, Any], code: str) -> str | Response:
    told, verifier, now = begun["told"], begun["verifier"], utc_now()
    place = Place(begun["server"], begun["host"])
    if told["for"] == SIGN_IN:
        # A session that somebody may know from before must not become a learner's.
        session["sid"] = secrets.token_urlsafe(32)
        digest = access.session_digest()
        backpacks.sign_in(tools(), place.server_id or 0, code, verifier, _redirect_uri(), digest, now)
        return redirect(url_for("my.overview"), 303)
    if _is_own(told):
        name = backpacks.complete(tools(), told["person"], place, code, verifier, _redirect_uri(), now)
        return render_template("badgr/connected.html", user_name=name, what="Your account", back="in the course")
    consent = grants.Consent(
        server_id=place.server_id or 0,
        code_verifier=verifier,
        course_id=told.get("course"),
        person_id=told.get("person"),
        deployment_id=told.get("deployment"),
        actor=told.get("actor", ""),
    )
    connection = grants.complete(tools(), consent, code, _redirect_uri(), now)
    with tools().database.read() as db:
        what = next(iter(_facts(db, told).values()))
    back = "on the administrator's page" if told["for"] == INSTITUTION else "in the course"
    return render_template("badgr/connected.html", user_name=connection.badgr_user_name, what=what, back=back)


def _facts(db: Any, told: dict[str, Any]) -> dict[str, str]:
    """What is about to be connected, by label."""
    if told["for"] == INSTITUTION:
        deployment = db.get_one(Deployment, told["deployment"])
        whole = f"All courses of {deployment.platform.name} (installation {deployment.deployment_id})"
        return {"For": whole, "You are": told["actor"]}
    course, person = db.get_one(Course, told["course"]), db.get_one(Person, told["person"])
    return {
        "Course": course.title or course.label or course.context_id,
        "LMS": course.deployment.platform.name,
        "You are": person.display_name,
    }


def _is_own(told: dict[str, Any]) -> bool:
    """Whether it is a learner's own account."""
    return bool(told["for"] == BACKPACK)


def _refusal(error: str) -> tuple[str, str]:
    if error == "access_denied":
        advice = "You did not allow the connection, so nothing has changed. Press Connect in the course to try again."
        return "Not connected", advice
    advice = "Badgr refused to ask for your consent. The administrator of the Badges tool must check its Badgr key."
    return "Badgr refused", advice


def _failed(title: str, advice: str, status: int) -> tuple[str, int]:
    return render_template("badgr/failed.html", title=title, advice=advice), status


def _read(ticket: str) -> dict[str, Any]:
    try:
        told = _tickets().loads(ticket, max_age=TICKET_SECONDS)
    except BadSignature:
        raise InvalidInputError(TICKET_ENDED, "This link has ended") from None
    return dict(told)


def _tickets() -> URLSafeTimedSerializer:
    # itsdangerous signs with the last key and accepts all; our settings name the newest first.
    keys = [key.get_secret_value() for key in reversed(tools().settings.secret_keys)]
    return URLSafeTimedSerializer(keys, salt="badgr-connect")


def _redirect_uri() -> str:
    return public_url(url_for("badgr.callback"))
