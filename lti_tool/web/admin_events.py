"""The administrator's pages about events: the list, one with its content, those that fit nothing, playing them again.

They show what people did: for local administrators only.
"""

from datetime import UTC, datetime

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from lti_tool.errors import ConflictError, InvalidInputError
from lti_tool.models import EventStatus, Source
from lti_tool.services import sources
from lti_tool.services.admins import Admin
from lti_tool.services.reports import events as reports
from lti_tool.services.reports.sources import find_source
from lti_tool.web import access
from lti_tool.web.hygiene import row_id
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("admin_events", __name__, url_prefix="/admin/sources/<int:source_id>/events")

STATUSES = {status.value: label for status, (_, label) in reports.STATE.items()}


@blueprint.get("/")
def events(source_id: int) -> str:
    """The events of a source, newest first."""
    admin = access.enter_as_local_admin()
    told, words = request.args.get("status", ""), request.args.get("q", "").strip()[:255]
    status = EventStatus(told) if told in STATUSES else None
    with tools().database.read() as db:
        return render_template(
            "admin/events.html",
            admin=admin,
            source=find_source(db, admin, source_id),
            found=reports.event_list(
                db, source_id, status=status, words=words, before=request.args.get("before", type=row_id)
            ),
            statuses=STATUSES,
            status=status.value if status else "",
            query=words,
        )


@blueprint.get("/<int:event_id>")
def event(source_id: int, event_id: int) -> str:
    """One event: what it said and what became of it."""
    admin = access.enter_as_local_admin()
    with tools().database.read() as db:
        source = find_source(db, admin, source_id)
        view = reports.event_view(db, reports.find_event(db, source_id, event_id))
    return render_template("admin/event.html", admin=admin, source=source, event=view)


@blueprint.post("/<int:event_id>/replay")
def replay_one(source_id: int, event_id: int) -> Response:
    """Work on one event once more."""
    admin = access.enter_as_local_admin()
    with tools().database.read() as db:
        find_source(db, admin, source_id)
        reports.find_event(db, source_id, event_id)
    if not sources.replay(tools(), source_id, admin.name, utc_now(), event_id=event_id):
        raise ConflictError(
            "Its content is not kept any more, or it was a test.", "This event cannot be worked on again"
        )
    flash("The event is being worked on once more. Load this page again to see what became of it.", "success")
    return redirect(url_for("admin_events.event", source_id=source_id, event_id=event_id), 303)


@blueprint.route("/replay", methods=["GET", "POST"])
def replay(source_id: int) -> str | Response | tuple[str, int]:
    """Work on the events of a time, or on all, once more: first how many, then the confirmation."""
    admin = access.enter_as_local_admin()
    with tools().database.read() as db:
        source = find_source(db, admin, source_id)
    if request.method == "GET":
        return _replay_page(admin, source)
    try:
        since, until = _moment("since"), _moment("until")
        if since and until and since > until:
            raise InvalidInputError("until: must not be before from.")
    except InvalidInputError as error:
        return _replay_page(admin, source, fault=error.advice), 422
    if request.form.get("confirmed") == "yes":
        number = sources.replay(tools(), source_id, admin.name, utc_now(), since=since, until=until)
        what = "1 event is" if number == 1 else f"{number} events are"
        flash(f"{what} being worked on once more. This page says how many are left.", "success")
        return redirect(url_for("admin_sources.source", source_id=source_id), 303)
    with tools().database.read() as db:
        number = sources.count_for_replay(db, source_id, since, until)
    return _replay_page(admin, source, number=number)


@blueprint.get("/unmatched")
def unmatched(source_id: int) -> str:
    """Which ids nobody knows, and what to do about it."""
    admin = access.enter_as_local_admin()
    with tools().database.read() as db:
        return render_template(
            "admin/unmatched.html",
            admin=admin,
            source=find_source(db, admin, source_id),
            missing=reports.missing(db, source_id),
            others=reports.other_reasons(db, source_id),
        )


def _replay_page(admin: Admin, source: Source, *, number: int | None = None, fault: str | None = None) -> str:
    return render_template(
        "admin/replay.html",
        admin=admin,
        source=source,
        form={name: request.form.get(name, "") for name in ("since", "until")},
        number=number,
        fault=fault,
        settings=tools().settings,
    )


def _moment(name: str) -> datetime | None:
    """A moment as browsers send it (HTML, `datetime-local`), in UTC; raises InvalidInputError."""
    text = request.form.get(name, "").strip()
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        label = "from" if name == "since" else name
        raise InvalidInputError(f"{label}: must be a date and time such as 2026-11-23T18:00.") from None
    return found.replace(tzinfo=found.tzinfo or UTC)
