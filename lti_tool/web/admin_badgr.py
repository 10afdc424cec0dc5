"""The administrator's pages about Badgr: servers with their state, and the accounts of institutions."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from lti_tool.badgr.presets import PRESETS
from lti_tool.errors import InvalidInputError, NotFoundError
from lti_tool.models import Connection, Deployment
from lti_tool.services import badge_hosts, badgr_servers, connections, grants
from lti_tool.services.admins import Admin
from lti_tool.services.badgr_servers import BadgrServerData, ServerState
from lti_tool.web import access
from lti_tool.web.badgr import institution_ticket
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("admin_badgr", __name__, url_prefix="/admin/badgr")

FIELDS = ("name", "ui_url", "api_url", "client_id", "scopes", "max_parallel", "max_per_minute")


@blueprint.get("/")
def overview() -> str:
    """Every server with its state, and the institutions' accounts."""
    admin = access.enter_as_local_admin()
    with tools().database.read() as db:
        accounts = db.scalars(select(Connection).where(Connection.deployment_id.is_not(None))).all()
        deployments = db.scalars(select(Deployment).where(Deployment.approved)).all()
        institutions = {
            d.id: (f"{d.platform.name} ({d.deployment_id})", [a for a in accounts if a.deployment_id == d.id])
            for d in deployments
        }
        return render_template(
            "admin/badgr.html",
            admin=admin,
            servers=badgr_servers.states(tools().database, utc_now()),
            institutions=institutions,
            tickets={d: institution_ticket(d, admin.name) for d in institutions},
            hosts=badge_hosts.states(db),
        )


@blueprint.route("/servers/new", methods=["GET", "POST"])
@blueprint.route("/servers/<int:server_id>", methods=["GET", "POST"])
def server(server_id: int | None = None) -> str | Response | tuple[str, int]:
    """Enter a server, or change one; its key is tried before it is saved."""
    admin = access.enter_as_local_admin()
    present = next((s for s in badgr_servers.states(tools().database, utc_now()) if s.id == server_id), None)
    if server_id is not None and present is None:
        raise NotFoundError("There is no such Badgr server.")
    if request.method == "GET":
        return _server_page(admin, server_id, _values(present) if present else _preset())
    values = {name: request.form.get(name, "").strip() for name in FIELDS}
    try:
        badgr_servers.save(tools(), _data(values), utc_now(), server_id=server_id, actor=admin.name)
    except InvalidInputError as error:
        return _server_page(admin, server_id, values, error.advice), 422
    flash("The server is saved, and its key works.", "success")
    return redirect(url_for("admin_badgr.overview"), 303)


@blueprint.post("/look-up")
def look_up() -> str | tuple[str, int]:
    """Fill in the form from one address of a server."""
    admin = access.enter_as_local_admin()
    values = _preset()
    try:
        found = badgr_servers.discover(tools(), request.form.get("address", "").strip())
    except InvalidInputError as error:
        return _server_page(admin, None, values, error.advice), 422
    return _server_page(admin, None, values | {"ui_url": found.ui_url, "api_url": found.api_url})


@blueprint.route("/accounts/<int:connection_id>", methods=["GET", "POST"])
def account(connection_id: int) -> str | Response:
    """The issuers that courses may use by an institution's account."""
    admin = access.enter_as_local_admin()
    with tools().database.read() as db:
        found = db.scalar(
            select(Connection).where(Connection.id == connection_id, Connection.deployment_id.is_not(None))
        )
    if found is None:
        raise NotFoundError("There is no such account of an institution.")
    if request.method == "POST":
        grants.allow_issuers(tools(), connection_id, request.form.getlist("issuer"), admin.name, utc_now())
        flash("Saved.", "success")
        return redirect(url_for("admin_badgr.overview"), 303)
    issuers = connections.with_client(tools(), connection_id, utc_now(), lambda client: client.issuers())
    return render_template("admin/account.html", admin=admin, account=found, issuers=issuers)


@blueprint.post("/accounts/<int:connection_id>/disconnect")
def disconnect(connection_id: int) -> Response:
    """End an institution's account's connection."""
    admin = access.enter_as_local_admin()
    with tools().database.read() as db:
        if db.get(Connection, connection_id) is None:
            raise NotFoundError("There is no such connection.")
    grants.disconnect(tools(), connection_id, admin.name, utc_now())
    flash("Disconnected. Badges that are earned wait until the courses are connected again.", "success")
    return redirect(url_for("admin_badgr.overview"), 303)


@blueprint.post("/hosts/<int:host_id>/remove")
def remove_host(host_id: int) -> Response:
    """Forget a badge host that learners have entered."""
    admin = access.enter_as_local_admin()
    badge_hosts.remove(tools(), host_id, admin.name, utc_now())
    flash("Removed. Whoever enters its address again has the tool registered there anew.", "success")
    return redirect(url_for("admin_badgr.overview"), 303)


def _values(present: ServerState) -> dict[str, str]:
    return {
        "name": present.name,
        "ui_url": present.ui_url,
        "api_url": present.api_url,
        "client_id": present.client_id,
        "scopes": " ".join(present.scopes),
        "max_parallel": str(present.max_parallel),
        "max_per_minute": str(present.max_per_minute or ""),
    }


def _preset() -> dict[str, str]:
    chosen = PRESETS.get(request.args.get("preset", ""))
    empty = BadgrServerData("", "", "", "", "")
    return {
        "name": chosen.label if chosen else "",
        "ui_url": (chosen.ui_url or "") if chosen else "",
        "api_url": chosen.api_url if chosen else "",
        "client_id": "",
        "scopes": " ".join(empty.scopes),
        "max_parallel": str(empty.max_parallel),
        "max_per_minute": "",
    }


def _data(values: dict[str, str]) -> BadgrServerData:
    try:
        parallel, minute = int(values["max_parallel"] or 4), values["max_per_minute"]
        per_minute = int(minute) if minute else None
    except ValueError:
        raise InvalidInputError("limits: must be whole numbers from 1.") from None
    return BadgrServerData(
        name=values["name"],
        ui_url=values["ui_url"],
        api_url=values["api_url"],
        client_id=values["client_id"],
        client_secret=request.form.get("client_secret", ""),
        scopes=tuple(values["scopes"].split()),
        max_parallel=parallel,
        max_per_minute=per_minute,
    )


def _server_page(admin: Admin, server_id: int | None, values: dict[str, str], fault: str | None = None) -> str:
    return render_template(
        "admin/badgr_server.html",
        admin=admin,
        server_id=server_id,
        form=values,
        fault=fault,
        presets=PRESETS,
        callback=f"{tools().settings.base_url}{url_for('badgr.callback')}",
        address=request.form.get("address", ""),
    )
