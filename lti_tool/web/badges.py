"""Making and editing badge classes and issuers from inside the course; only what the connected account may do."""

from collections.abc import Mapping

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from lti_tool.badgr.errors import BadgrError, InvalidRequestError
from lti_tool.badgr.errors import NotFoundError as NotThereError
from lti_tool.badgr.types import BadgeClass, Issuer
from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.models import Visit
from lti_tool.services import connections, issuers, pictures
from lti_tool.web import access
from lti_tool.web.badge_form import Form, badge_values, issuer_values, read_badge, read_issuer
from lti_tool.web.errors import now_advice
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("badges", __name__, url_prefix="/courses/<int:course_id>")

# The picture, and the fields beside it.
UPLOAD_BYTES = pictures.MAXIMUM_BYTES + 256 * 1024


@blueprint.route("/badges/new", methods=["GET", "POST"])
@blueprint.route("/badges/<badge_class_id>", methods=["GET", "POST"])
def edit_badge(course_id: int, badge_class_id: str | None = None) -> str | Response | tuple[str, int]:
    """Make a badge class, or change one."""
    visit = _enter_as_editor()
    present = _badge_class(visit, badge_class_id) if badge_class_id else None
    if request.method == "GET":
        return _badge_page(visit, present, Form(badge_values(present)))
    image, fault = _picture(present.image if present else None)
    form, told = read_badge(request.form, image or "", present.alignments if present else ())
    if fault:
        form.errors["picture"] = fault
    if told is None or form.errors:
        return _badge_page(visit, present, form), 422
    try:
        saved = issuers.save_badge_class(tools(), course_id, told, badge_class_id, utc_now())
    except BadgrError as error:
        if not (error.retryable or isinstance(error, InvalidRequestError)):
            raise
        # What was entered stays in the form.
        form.errors["badgr"] = now_advice(error)
        return _badge_page(visit, present, form), 422
    flash(f"“{saved.name}” is saved at Badgr.", "success")
    return redirect(url_for("rules.choose_badge", course_id=course_id, badge=saved.entity_id), 303)


@blueprint.route("/issuers/new", methods=["GET", "POST"])
@blueprint.route("/issuers/<issuer_id>", methods=["GET", "POST"])
def edit_issuer(course_id: int, issuer_id: str | None = None) -> str | Response | tuple[str, int]:
    """Make an issuer, or change the course's own."""
    visit = access.enter_as_teacher() if issuer_id is None else _enter_as_editor()
    if issuer_id is None and visit.course.connection_id and not issuers.may_make_issuers(visit.course.connection):
        raise ConflictError(issuers.LIMITED, "This account may not make an issuer")
    present = _issuer(visit, issuer_id) if issuer_id else None
    profile = connections.with_client(tools(), access.connection_id(visit), utc_now(), lambda client: client.profile())
    addresses = [email.address for email in profile.emails if email.verified]
    if request.method == "GET":
        values = issuer_values(present)
        values["email"] = values["email"] or next(iter(addresses), "")
        return _issuer_page(visit, present, addresses, Form(values))
    image, fault = _picture(None)
    form, told = read_issuer(request.form, image)
    if fault:
        form.errors["picture"] = fault
    if told is None or form.errors:
        return _issuer_page(visit, present, addresses, form), 422
    try:
        saved = issuers.save_issuer(tools(), course_id, told, issuer_id, utc_now())
    except BadgrError as error:
        if not (error.retryable or isinstance(error, InvalidRequestError)):
            raise
        # What was entered stays in the form.
        form.errors["badgr"] = now_advice(error)
        return _issuer_page(visit, present, addresses, form), 422
    flash(f"“{saved.name}” is saved at Badgr, and this course awards in its name.", "success")
    return redirect(url_for("rules.choose_badge", course_id=course_id), 303)


def _enter_as_editor() -> Visit:
    visit = access.enter_as_teacher()
    if not visit.course.may_edit_badges:
        raise ConflictError(issuers.STAFF_ONLY, "The connected account may not do this")
    return visit


def _picture(present: str | None) -> tuple[str | None, str | None]:
    """The uploaded picture as Badgr takes it, else the present one; and what is wrong with the upload."""
    upload = request.files.get("picture")
    if upload is None or not upload.filename:
        return present, None
    try:
        return pictures.data_uri(upload.read()), None
    except InvalidInputError as error:
        return None, error.advice.removeprefix("picture: ").capitalize()


def _badge_class(visit: Visit, badge_class_id: str) -> BadgeClass:
    try:
        found = connections.with_client(
            tools(), access.connection_id(visit), utc_now(), lambda client: client.badge_class(badge_class_id)
        )
    except NotThereError:
        raise NotFoundError("Badgr has no such badge, or the connected account may not see it.") from None
    if found.issuer_id != visit.course.issuer_entity_id:
        raise NotFoundError("This badge is not one of the issuer of this course.")
    return found


def _issuer(visit: Visit, issuer_id: str) -> Issuer:
    found = connections.with_client(tools(), access.connection_id(visit), utc_now(), lambda client: client.issuers())
    issuer = next((issuer for issuer in found if issuer.entity_id == issuer_id), None)
    if issuer is None or issuer_id != visit.course.issuer_entity_id:
        raise NotFoundError("Only the issuer of this course can be changed here.")
    return issuer


def _badge_page(visit: Visit, present: BadgeClass | None, form: Form) -> str:
    issuer_name = visit.course.issuer_name
    return _page("course/edit_badge.html", visit, form, {"badge": present, "issuer_name": issuer_name})


def _issuer_page(visit: Visit, present: Issuer | None, addresses: list[str], form: Form) -> str:
    return _page("course/edit_issuer.html", visit, form, {"issuer": present, "addresses": addresses})


def _page(template: str, visit: Visit, form: Form, more: Mapping[str, object]) -> str:
    return render_template(template, course=visit.course, form=form.values, errors=form.errors, **more)
