"""The administrator's pages: sign-in, platforms and deployments, registration links, keys, people, audit log."""

import secrets

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from lti_tool.errors import InvalidInputError
from lti_tool.lti.errors import RegistrationError
from lti_tool.lti.registration import SCOPES
from lti_tool.services import admins, awarding, erasure, onboarding, registration, selfcheck, upkeep
from lti_tool.services.admins import Admin
from lti_tool.services.audit import record as note_act
from lti_tool.services.registration import PlatformData
from lti_tool.services.reports import admin as reports
from lti_tool.services.reports import sources as source_reports
from lti_tool.services.reports.stuck import course_of_award, stuck_report
from lti_tool.web import access
from lti_tool.web.hygiene import row_id
from lti_tool.web.pager import pager
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("admin", __name__, url_prefix="/admin")

PLATFORM_FIELDS = ("name", "issuer", "client_id", "deployment", "login_url", "token_url", "jwks_url", "token_audience")


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> str | Response | tuple[str, int]:
    """Sign in with a local account."""
    if request.method == "GET":
        return render_template("admin/sign_in.html", fault=None, name="")
    name = request.form.get("name", "")
    # A session that somebody else may know from before must not become an administrator's.
    session["sid"] = secrets.token_urlsafe(32)
    try:
        admins.sign_in(tools(), name, request.form.get("password", ""), access.session_digest(), utc_now())
    except InvalidInputError as error:
        return render_template("admin/sign_in.html", fault=error.advice, name=name), 403
    return redirect(url_for("admin.overview"), 303)


@blueprint.post("/sign-out")
def sign_out() -> Response:
    """End the administration in this browser."""
    admins.sign_out(tools(), access.session_digest())
    return redirect(url_for("admin.sign_in"), 303)


@blueprint.get("/")
def overview() -> str:
    """Every LMS, with what waits for a decision."""
    admin = access.enter_as_admin()
    with tools().database.read() as db:
        alarms = list(source_reports.alarms(db, admin, tools().settings, utc_now()))
        return render_template(
            "admin/overview.html", admin=admin, platforms=reports.platforms(db, admin), alarms=alarms
        )


@blueprint.get("/platforms/<int:platform_id>")
def platform(platform_id: int) -> str:
    """One LMS: its addresses and its deployments."""
    admin = access.enter_as_admin()
    with tools().database.read() as db:
        found = reports.platform(db, admin, platform_id)
    return render_template("admin/platform.html", admin=admin, platform=found)


@blueprint.route("/platforms/new", methods=["GET", "POST"])
def new_platform() -> str | Response | tuple[str, int]:
    """Register an LMS by hand."""
    admin = access.enter_as_local_admin()
    values = {name: request.form.get(name, "").strip() for name in PLATFORM_FIELDS}
    if request.method == "GET":
        return _platform_form(admin, values)
    try:
        platform_id = registration.add_platform(tools(), _platform_data(values), utc_now(), actor=admin.name)
    except InvalidInputError as error:
        return _platform_form(admin, values, error.advice), 422
    flash("The LMS is registered.", "success")
    return redirect(url_for("admin.platform", platform_id=platform_id), 303)


@blueprint.post("/platforms/look-up")
def look_up_platform() -> str | tuple[str, int]:
    """Fill in the form with what an LMS publishes of itself."""
    admin = access.enter_as_local_admin()
    values = dict.fromkeys(PLATFORM_FIELDS, "")
    try:
        found = onboarding.look_up(tools(), request.form.get("configuration", "").strip())
    except RegistrationError as error:
        return _platform_form(admin, values, error.advice), 422
    values |= {
        "issuer": found.issuer,
        "login_url": found.auth_login_url,
        "token_url": found.auth_token_url,
        "jwks_url": found.jwks_url,
        "token_audience": found.auth_audience or "",
    }
    return _platform_form(admin, values)


@blueprint.post("/platforms/<int:platform_id>/enabled")
def set_enabled(platform_id: int) -> Response:
    """Let an LMS launch, or not."""
    admin = access.enter_as_local_admin()
    enabled = request.form.get("enabled") == "yes"
    registration.set_enabled(tools(), platform_id, utc_now(), enabled=enabled, actor=admin.name)
    on, off = "The LMS may launch and send events again.", "The LMS can no longer launch, and its events are refused."
    flash(on if enabled else off, "success")
    return redirect(url_for("admin.platform", platform_id=platform_id), 303)


@blueprint.post("/platforms/<int:platform_id>/frames")
def set_frames(platform_id: int) -> Response:
    """Say which hosts have pages around those of an LMS."""
    admin = access.enter_as_local_admin()
    told = request.form.get("frames", "").split()
    registration.set_frame_origins(tools(), platform_id, told, utc_now(), actor=admin.name)
    flash("The pages around the LMS are stored.", "success")
    return redirect(url_for("admin.platform", platform_id=platform_id), 303)


@blueprint.post("/deployments/<int:deployment_id>")
def decide_deployment(deployment_id: int) -> Response:
    """Approve or refuse a deployment, or accept the address that it moved to."""
    admin = access.enter_as_local_admin()
    decision = request.form.get("decision")
    if decision == "move":
        onboarding.accept_host(tools(), deployment_id, admin.name, utc_now())
    elif decision in ("approve", "refuse"):
        onboarding.set_approved(tools(), deployment_id, admin.name, utc_now(), approved=decision == "approve")
    else:
        raise InvalidInputError("Choose what to do with the deployment.")
    flash("Done.", "success")
    return redirect(url_for("admin.platform", platform_id=registration.platform_of(tools(), deployment_id)), 303)


@blueprint.route("/links", methods=["GET", "POST"])
def links() -> str:
    """Registration links: make one, and see what became of the others."""
    admin = access.enter_as_local_admin()
    link = None
    if request.method == "POST":
        renewed = request.form.get("platform", type=row_id)
        link = onboarding.create_link(tools(), admin.name, request.form.get("note", ""), utc_now(), renewed)
    with tools().database.read() as db:
        return render_template(
            "admin/links.html",
            admin=admin,
            link=link,
            links=reports.links(db, utc_now()),
            platforms=reports.platforms(db, admin),
            canvas_url=f"{tools().settings.base_url}{url_for('lti.canvas')}",
        )


@blueprint.route("/keys", methods=["GET", "POST"])
def keys() -> str | Response:
    """The tool's own key pairs."""
    admin = access.enter_as_local_admin()
    if request.method == "POST":
        registration.rotate_keys(tools(), utc_now(), actor=admin.name)
        flash("A new key signs from now on. The former one stays published.", "success")
        return redirect(url_for("admin.keys"), 303)
    with tools().database.read() as db:
        return render_template("admin/keys.html", admin=admin, keys=reports.tool_keys(db))


@blueprint.get("/awards")
def awards() -> str:
    """Awards that wait for somebody, and how much is on its way."""
    admin = access.enter_as_admin()
    with tools().database.read() as db:
        report = stuck_report(db, admin, request.args.get("page", 1, type=int))
    pages = pager("admin.awards", report.page, report.pages, report.total)
    alive = upkeep.is_worker_alive(tools(), utc_now())
    return render_template("admin/awards.html", admin=admin, report=report, pager=pages, is_worker_alive=alive)


@blueprint.post("/awards/<int:award_id>/retry")
def retry_award(award_id: int) -> Response:
    """Send an award that Badgr did not take once more."""
    admin = access.enter_as_admin()
    with tools().database.read() as db:
        course = course_of_award(db, admin, award_id)
    awarding.retry(tools(), course.id, award_id, utc_now(), who="An administrator")
    what = f"award {award_id}"
    note_act(tools(), admin.name, "sent again", utc_now(), platform_id=course.deployment.platform_id, detail=what)
    flash("The award is being sent again.", "success")
    return redirect(url_for("admin.awards"), 303)


@blueprint.get("/check")
def check() -> str:
    """What can be tried; each part is tried by itself, as soon as the page is there or when its link is followed."""
    admin = access.enter_as_admin()
    return render_template("admin/check.html", admin=admin, subjects=selfcheck.subjects(tools(), admin))


@blueprint.get("/check/<key>")
def check_one(key: str) -> str:
    """Try one part: a page, or only its findings for the page that asks by htmx."""
    admin = access.enter_as_admin()
    subject, findings = selfcheck.check(tools(), admin, key, utc_now())
    template = "admin/findings.html" if "HX-Request" in request.headers else "admin/check_one.html"
    return render_template(template, admin=admin, subject=subject, findings=findings)


@blueprint.get("/people")
def people() -> str:
    """Find somebody, and see what they have and what waits."""
    admin = access.enter_as_admin()
    words = request.args.get("q", "").strip()[:100]
    with tools().database.read() as db:
        return render_template("admin/people.html", admin=admin, query=words, people=reports.people(db, admin, words))


@blueprint.route("/people/<int:person_id>/erase", methods=["GET", "POST"])
def erase_person(person_id: int) -> str | tuple[str, int]:
    """Remove everything about somebody: first what that is, then the receipt."""
    admin, now = access.enter_as_local_admin(), utc_now()
    revoke = request.form.get("revoke") == "yes"
    if request.method == "POST" and request.form.get("sure") == "yes":
        receipt = erasure.erase(tools(), person_id, admin.name, now, revoke=revoke)
        return render_template("admin/erased.html", admin=admin, receipt=receipt)
    with tools().database.read() as db:
        name = reports.person_name(db, person_id)
    planned = erasure.survey(tools(), person_id, now)
    fault = "Say that you are sure." if request.method == "POST" else None
    page = render_template("admin/erase.html", admin=admin, receipt=planned, name=name, fault=fault, revoke=revoke)
    return page, 422 if fault else 200


@blueprint.get("/audit")
def audit() -> str:
    """Who did what."""
    admin = access.enter_as_admin()
    with tools().database.read() as db:
        return render_template("admin/audit.html", admin=admin, entries=reports.audit_log(db, admin))


def _platform_form(admin: Admin, values: dict[str, str], fault: str | None = None) -> str:
    return render_template(
        "admin/new_platform.html",
        admin=admin,
        configuration=request.form.get("configuration", ""),
        values=values,
        fault=fault,
        tool=onboarding.tool_addresses(tools().settings),
        scopes=SCOPES,
    )


def _platform_data(values: dict[str, str]) -> PlatformData:
    return PlatformData(
        name=values["name"],
        issuer=values["issuer"],
        client_id=values["client_id"],
        auth_login_url=values["login_url"],
        auth_token_url=values["token_url"],
        jwks_url=values["jwks_url"],
        auth_audience=values["token_audience"] or None,
        deployment_ids=tuple(values["deployment"].split()),
    )
