"""The LTI front door: login, launch, key set."""

from urllib.parse import urlsplit

from flask import Blueprint, Response, g, jsonify, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from lti_tool.domain.launch import Role
from lti_tool.lti.errors import LaunchError, RegistrationError, UnknownDeploymentError
from lti_tool.lti.launch import VerifiedLaunch, verify
from lti_tool.lti.login import start_login
from lti_tool.lti.registration import canvas_document
from lti_tool.services import launches, onboarding, registration
from lti_tool.services.launches import Landing
from lti_tool.web import choosing, cookieless
from lti_tool.web.access import digest_of, session_digest
from lti_tool.web.parts import parts, public_url, tools, utc_now

blueprint = Blueprint("lti", __name__, url_prefix="/lti")

STATE_SECONDS = 600
KEY_SET_SECONDS = 300
NO_COURSE = {
    "title": "Badges lives inside a course",
    "message": "The LMS opened Badges without naming a course.",
    "next_step": "Go to a course and open Badges there.",
}
NO_PART = {
    "title": "Nothing to show here yet",
    "message": "The LMS says that you are neither a learner nor a teacher of this course.",
    "next_step": "Badges are shown to learners and teachers. If you should be one, ask the teacher of the course.",
}

OBSERVER = {
    "title": "Badges are shown to learners and teachers",
    "message": "You follow somebody in this course: the LMS says that you are an observer (mentor).",
    "next_step": "Ask the learner to show you their badges, or the teacher which ones can be earned here.",
}


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> AnyResponse:
    """Start of a launch: send the browser to the platform with a fresh state (security framework §5.1.1)."""
    keeps_cookies = cookieless.keeps_cookies()
    if keeps_cookies is None:
        return cookieless.probe()
    with tools().database.read() as session:
        begun = start_login(session, request.values, parts().signer, public_url(url_for("lti.launch")), utc_now())
    if not keeps_cookies:
        return make_response(cookieless.go_on(begun))
    response = redirect(begun.url)
    response.set_cookie(
        begun.cookie_name,
        begun.cookie_value,
        max_age=STATE_SECONDS,
        path=url_for("lti.launch"),
        secure=True,
        httponly=True,
        samesite="None",
        partitioned=True,
    )
    return response


@blueprint.post("/launch")
def launch() -> AnyResponse:
    """The platform's answer: check it, note it, and go to the page that fits the role."""
    now = utc_now()
    launch_url = public_url(url_for("lti.launch"))
    try:
        verified = verify(
            tools().database, request.form, cookieless.proofs(), parts().signer, parts().keysets, launch_url, now
        )
    except UnknownDeploymentError as error:
        onboarding.remember_deployment(tools(), error.platform_id, error.deployment_id, now)
        g.frame_origin = error.return_url
        raise
    except LaunchError as error:
        g.frame_origin = error.return_url
        page = cookieless.ask_platform(request.form.get("state", "")) if error.code == "state_foreign" else None
        if page is None:
            raise
        return make_response(page)
    g.frame_origin = verified.launch.return_url or ""
    if not cookieless.has_cookie(request.form["state"]):
        return _without_cookie(verified)
    landing = launches.record(tools(), verified, session_digest(create=True), now)
    response = make_response(_landing_page(verified, landing))
    # Only that of this login: several tabs may be on their way at once.
    response.delete_cookie(
        cookieless.cookie_of(request.form["state"]),
        path=url_for("lti.launch"),
        secure=True,
        httponly=True,
        samesite="None",
        partitioned=True,
    )
    return response


@blueprint.get("/canvas.json")
def canvas() -> Response:
    """What an administrator of Canvas enters as "Paste JSON" or "Enter URL" of a developer key."""
    return jsonify(canvas_document(onboarding.tool_addresses(tools().settings)))


@blueprint.route("/register/<token>", methods=["GET", "POST"])
def register(token: str) -> str | tuple[str, int]:
    """Dynamic registration: the LMS shows this page to its administrator (LTI Dynamic Registration 1.0 §3.3)."""
    onboarding.check_link(tools(), token, utc_now())
    configuration_url = request.args.get("openid_configuration", "")
    # An LMS may show the page at another host than its configuration is at. No session is used here, but the link.
    g.any_frame, g.frame_origin = True, configuration_url
    if not configuration_url:
        raise RegistrationError(
            "This address is for the LMS: enter it there where a tool is added by its registration address."
        )
    if request.method == "GET":
        return render_template("launch/register.html", host=urlsplit(configuration_url).netloc)
    registration_token = request.args.get("registration_token") or None
    outcome = onboarding.register(tools(), token, configuration_url, registration_token, utc_now())
    return render_template("launch/registered.html", outcome=outcome)


@blueprint.get("/jwks.json")
def jwks() -> Response:
    """The tool's public keys (RFC 7517), for the platforms' token services."""
    response = jsonify(registration.published_keys(tools(), utc_now()))
    response.cache_control.max_age = KEY_SET_SECONDS
    response.cache_control.public = True
    return response


def _without_cookie(verified: VerifiedLaunch) -> AnyResponse:
    """The frame keeps no cookie, hence no session: what would be shown here opens in a tab of its own."""
    sid = cookieless.new_session()
    landing = launches.record(tools(), verified, digest_of(sid), utc_now())
    page = _landing_page(verified, landing)
    location = page.headers.get("Location") if isinstance(page, AnyResponse) else None
    return make_response(cookieless.offer_tab(sid, location) if location else page)


def _landing_page(verified: VerifiedLaunch, landing: Landing) -> AnyResponse | str:
    person, course_id, rule_id = verified.launch.person, landing.course_id, landing.rule_id
    if course_id is not None and verified.launch.content_request is not None:
        if not person.role.teaches:
            raise LaunchError("teachers_choose")
        return choosing.page(course_id, verified.launch.deployment_id, verified.launch.content_request)
    if course_id is not None and person.role.teaches:
        endpoint = "course.overview" if rule_id is None else "rules.rule"
        return redirect(url_for(endpoint, course_id=course_id, rule_id=rule_id), 303)
    if course_id is not None and person.role is Role.LEARNER:
        return redirect(url_for("learner.overview", course_id=course_id, rule=rule_id), 303)
    if person.is_lms_administrator:
        return redirect(url_for("admin.overview"), 303)
    notice = NO_COURSE if course_id is None else OBSERVER if person.role is Role.OBSERVER else NO_PART
    return render_template("launch/notice.html", **notice)
