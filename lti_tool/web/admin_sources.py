"""The administrator's pages about sources: which there are, how each is, adding and changing one, a test event."""

import shlex
from datetime import datetime
from urllib.parse import urlencode

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.models import Deployment, Source
from lti_tool.services import sources, trials
from lti_tool.services.admins import Admin
from lti_tool.services.reports import admin as platform_reports
from lti_tool.services.reports import delays
from lti_tool.services.reports import sources as reports
from lti_tool.services.sources import OWN_KINDS, SourceData, SourceSecret
from lti_tool.sources import KINDS
from lti_tool.web import access
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("admin_sources", __name__, url_prefix="/admin/sources")

OPTION = "option-"
SHOWN_IN = {
    "header": "The sender uses the secret to sign each delivery, or shows it in a header.",
    "query": "The secret stands in the address itself, so keep the whole address secret.",
    "basic": "The sender shows the secret as a user name and a password (HTTP Basic).",
    "body": "The sender puts the secret into each delivery.",
}


@blueprint.get("/")
def overview() -> str:
    """Every source with its health at a glance."""
    admin, now = access.enter_as_admin(), utc_now()
    with tools().database.read() as db:
        return render_template(
            "admin/sources.html",
            admin=admin,
            sources=reports.source_list(db, admin, now),
            delay_day=delays.delay(db, now, reports.DAY),
            delay_week=delays.delay(db, now, reports.WEEK),
            objective=tools().settings.delay_objective_seconds,
        )


@blueprint.get("/<int:source_id>")
def source(source_id: int) -> str:
    """One source: how it is, and what can be done with it."""
    admin, now = access.enter_as_admin(), utc_now()
    with tools().database.read() as db:
        found = reports.find_source(db, admin, source_id)
        return render_template(
            "admin/source.html",
            admin=admin,
            source=found,
            kind=KINDS.get(found.kind),
            is_own=found.kind in OWN_KINDS,
            address=sources.address(tools().settings, found),
            health=reports.source_health(db, found, now),
            objective=tools().settings.delay_objective_seconds,
            former_until=found.former_secret_until if _is_ahead(found.former_secret_until, now) else None,
        )


@blueprint.route("/new", methods=["GET", "POST"])
def add() -> str | Response | tuple[str, int]:
    """Add a source: first where and of which kind, then what that kind asks for; its secret is shown this once."""
    admin = access.enter_as_local_admin()
    with tools().database.read() as db:
        platforms = platform_reports.platforms(db, admin)
    chosen = next((p for p in platforms if p.id == request.values.get("platform", type=int)), None)
    kind = request.values.get("kind", "")
    if chosen is None or kind not in sources.kinds():
        return render_template("admin/source_new.html", admin=admin, platforms=platforms, kinds=sources.kinds())
    values = _values()
    if request.method == "GET":
        return _form(admin, kind, chosen.id, values | {"name": sources.kinds()[kind].label})
    try:
        made = sources.add(tools(), chosen.id, kind, _data(kind, values), utc_now(), actor=admin.name)
    except InvalidInputError as error:
        return _form(admin, kind, chosen.id, values, error.advice), 422
    return _secret_page(admin, made, "The source is added")


@blueprint.route("/<int:source_id>/edit", methods=["GET", "POST"])
def edit(source_id: int) -> str | Response | tuple[str, int]:
    """Change what was said of a source."""
    admin = access.enter_as_local_admin()
    found = _from_outside(admin, source_id)
    if request.method == "GET":
        return _form(admin, found.kind, found.platform_id, _present(found), source=found)
    values = _values()
    try:
        sources.change(tools(), source_id, _data(found.kind, values), admin.name, utc_now())
    except InvalidInputError as error:
        return _form(admin, found.kind, found.platform_id, values, error.advice, found), 422
    flash("Saved.", "success")
    return redirect(url_for("admin_sources.source", source_id=source_id), 303)


@blueprint.post("/<int:source_id>/rotate")
def rotate(source_id: int) -> str:
    """A new secret, shown this once; the former one is taken for a while."""
    admin = access.enter_as_local_admin()
    found = _from_outside(admin, source_id)
    hours = request.form.get("overlap_hours", type=int)
    if hours is None:
        raise InvalidInputError("overlap: must be a whole number of hours.")
    at_once = request.form.get("at_once") == "yes"
    made = sources.rotate(tools(), found.public_id, hours, utc_now(), actor=admin.name, at_once=at_once)
    return _secret_page(admin, made, "The source has a new secret")


@blueprint.post("/<int:source_id>/enabled")
def set_enabled(source_id: int) -> Response:
    """Take events of a source, or refuse them."""
    admin = access.enter_as_local_admin()
    _from_outside(admin, source_id)
    enabled = request.form.get("enabled") == "yes"
    sources.set_enabled(tools(), source_id, admin.name, utc_now(), enabled=enabled)
    said = "Events of this source are taken again." if enabled else "Events of this source are refused from now on."
    flash(said, "success")
    return redirect(url_for("admin_sources.source", source_id=source_id), 303)


@blueprint.post("/<int:source_id>/test")
def test(source_id: int) -> str:
    """Send a test event, and show it arriving."""
    admin = access.enter_as_local_admin()
    found = _from_outside(admin, source_id)
    trial = trials.send(tools(), source_id, admin.name, utc_now())
    return render_template("admin/source_test.html", admin=admin, source=found, trial=trial)


def _from_outside(admin: Admin, source_id: int) -> Source:
    """A source that something outside sends to; what the tool reads by itself cannot be changed."""
    with tools().database.read() as db:
        found = reports.find_source(db, admin, source_id)
    if found.kind not in sources.kinds():
        raise NotFoundError("The tool reads this by itself: there is nothing to change.")
    return found


def _is_ahead(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment > now


def _values() -> dict[str, str]:
    names = ("name", "deployment", "match_by_email", "alarm_after_hours")
    options = {name: value for name, value in request.form.items() if name.startswith(OPTION)}
    return {name: request.form.get(name, "").strip() for name in names} | options


def _present(found: Source) -> dict[str, str]:
    told = sources.options_of(tools().vault, found)
    return {
        "name": found.name,
        "deployment": str(found.deployment_id or ""),
        "match_by_email": "yes" if found.match_by_email else "",
        "alarm_after_hours": str(found.alarm_after_hours),
    } | {f"{OPTION}{o.name}": told.get(o.name, "") for o in KINDS[found.kind].options if not o.secret}


def _data(kind: str, values: dict[str, str]) -> SourceData:
    try:
        hours, deployment = int(values["alarm_after_hours"] or 0), int(values["deployment"] or 0)
    except ValueError:
        raise InvalidInputError("alarm after: must be a whole number of hours.") from None
    return SourceData(
        name=values["name"],
        options={option.name: values.get(f"{OPTION}{option.name}", "") for option in KINDS[kind].options},
        match_by_email=values["match_by_email"] == "yes",
        deployment_id=deployment or None,
        alarm_after_hours=hours,
    )


def _form(
    admin: Admin,
    kind: str,
    platform_id: int,
    values: dict[str, str],
    fault: str | None = None,
    source: Source | None = None,
) -> str:
    with tools().database.read() as db:
        deployments = _deployments(db, platform_id)
        platform = platform_reports.platform(db, admin, platform_id)
    options = KINDS[kind].options
    return render_template(
        "admin/source_form.html",
        admin=admin,
        kind=kind,
        label=KINDS[kind].label,
        options=options,
        platform=platform,
        deployments=deployments,
        form=dict.fromkeys((f"{OPTION}{option.name}" for option in options), "") | values,
        fault=fault,
        source=source,
    )


def _deployments(db: Session, platform_id: int) -> list[Deployment]:
    query = select(Deployment).where(Deployment.platform_id == platform_id).order_by(Deployment.id)
    return list(db.scalars(query))


def _secret_page(admin: Admin, made: SourceSecret, title: str) -> str:
    with tools().database.read() as db:
        found = reports.find_source(db, admin, made.id)
    return render_template(
        "admin/source_secret.html",
        admin=admin,
        title=title,
        source=found,
        address=sources.address(tools().settings, found),
        secret=made.secret,
        shown_in=SHOWN_IN.get(KINDS[found.kind].shown_in, SHOWN_IN["header"]),
        example=_command(found),
    )


def _command(found: Source) -> str | None:
    """The example delivery as a command to paste; None for a kind without one."""
    try:
        delivery = trials.example(tools(), found, utc_now())
    except ConflictError:
        return None
    address = sources.address(tools().settings, found)
    if delivery.query:
        address += f"?{urlencode(delivery.query)}"
    headers = [f"  -H {shlex.quote(f'{name}: {value}')}" for name, value in delivery.headers.items()]
    body = delivery.body.decode()
    return " \\\n".join([f"curl -i {shlex.quote(address)}", *headers, f"  --data-raw {shlex.quote(body)}"])
