"""The LMS's services for the tool: the roster (NRPS 2.0) and its own line items with results (AGS 2.0)."""

import html
import secrets
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, jsonify, request

from lti_tool.sandbox.lms import lineitems
from lti_tool.sandbox.lms.lineitems import InvalidError, LineItem, StaleError
from lti_tool.sandbox.lms.notices import COPY_NOTICE
from lti_tool.sandbox.lms.people import Course, Member
from lti_tool.sandbox.lms.scopes import LINE_ITEM, LINE_ITEM_READ, NOTICE_HANDLERS, RESULT_READ, ROSTER, SCORE
from lti_tool.sandbox.lms.store import find_course, state

blueprint = Blueprint("services", __name__, url_prefix="/lti")

ROSTER_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
LINE_ITEM_TYPE = "application/vnd.ims.lis.v2.lineitem+json"
LINE_ITEMS_TYPE = "application/vnd.ims.lis.v2.lineitemcontainer+json"
RESULTS_TYPE = "application/vnd.ims.lis.v2.resultcontainer+json"


@blueprint.get("/nrps/<course_id>")
def memberships(course_id: str) -> Response:
    """The roster, a page at a time (contracts/moodle-4.2/nrps-page1.json)."""
    course = _authorized(course_id, ROSTER)
    if ROSTER_TYPE not in request.headers.get("Accept", ""):
        abort(400, "Accept must name the membership container")
    if request.args.get("rlid", course.resource_link_id) != course.resource_link_id:
        abort(404, "no such link")
    members = _asked_members(course)
    address = f"{state().base_url}{request.path}"
    start = request.args.get("from", 0, type=int)
    limit = request.args.get("limit", state().config.nrps_page_size, type=int)
    body = {
        "id": address,
        "context": {"id": course.id, "label": course.label, "title": course.title},
        "members": members[start : start + limit],
    }
    response, more = _json(body, ROSTER_TYPE), request.args.to_dict()
    if start + limit < len(members):
        following = urlencode(more | {"limit": str(limit), "from": str(start + limit)})
        response.headers["Link"] = f'<{address}?{following}>; rel="next"'
    elif state().config.nrps_differences:
        mark = state().mark_roster(course, {member["user_id"]: member for member in map(_member, course.members)})
        response.headers["Link"] = f'<{address}?since={mark}>; rel="differences"'
    return response


def _asked_members(course: Course) -> list[dict[str, Any]]:
    """Everybody, or what has changed since a mark; 410 for a mark that nobody remembers."""
    members = [_member(member) for member in course.members]
    if "since" in request.args:
        former = state().roster_marks.get(request.args["since"])
        if former is None:
            abort(410, "nobody remembers that mark")
        gone = former.keys() - {member["user_id"] for member in members}
        changed = [member for member in members if former.get(member["user_id"]) != member]
        members = [*changed, *({**former[sub], "status": "Deleted"} for sub in sorted(gone))]
    if state().config.nrps_private and "rlid" not in request.args:
        kept = ("user_id", "roles", "status", "lis_person_sourcedid", "lti11_legacy_user_id")
        members = [{name: value for name, value in member.items() if name in kept} for member in members]
    return members


@blueprint.get("/ags/<course_id>/lineitems")
def line_items(course_id: str) -> Response:
    """The tool's own line items (contracts/moodle-4.2/ags-lineitems.json), a page at a time when there are many."""
    course = _authorized(course_id, LINE_ITEM, LINE_ITEM_READ)
    wanted = {
        name: request.args[query]
        for query, name in (("resource_id", "resource_id"), ("tag", "tag"), ("resource_link_id", "resource_link_id"))
        if query in request.args
    }
    found = [
        item
        for item in state().line_items.values()
        if item.course_id == course.id and all(getattr(item, name) == value for name, value in wanted.items())
    ]
    start, size = request.args.get("from", 0, type=int), state().config.ags_page_size
    shown = [lineitems.as_json(item, state().base_url) for item in found[start : start + size]]
    response = _json(shown, LINE_ITEMS_TYPE)
    if start + size < len(found):
        more = f"{state().base_url}{request.path}?type_id=1&limit={size}&from={start + size}"
        response.headers["Link"] = f'<{more}>; rel="next"'
    return _versioned(response)


@blueprint.post("/ags/<course_id>/lineitems")
def add_line_item(course_id: str) -> Response:
    """Make a line item (contracts/moodle-4.2/ags-lineitem-create.json)."""
    course = _authorized(course_id, LINE_ITEM)
    item = LineItem(secrets.token_hex(4), course.id, "", 0)
    _update(item)
    with state().lock:
        state().line_items[item.id] = item
    return _json(lineitems.as_json(item, state().base_url), LINE_ITEM_TYPE, 201)


@blueprint.get("/ags/<course_id>/lineitems/<item_id>/lineitem")
def line_item(course_id: str, item_id: str) -> Response:
    """One of the tool's line items."""
    found = _line_item(_authorized(course_id, LINE_ITEM, LINE_ITEM_READ), item_id)
    return _json(lineitems.as_json(found, state().base_url), LINE_ITEM_TYPE)


@blueprint.put("/ags/<course_id>/lineitems/<item_id>/lineitem")
def change_line_item(course_id: str, item_id: str) -> Response:
    """Change a line item."""
    found = _line_item(_authorized(course_id, LINE_ITEM), item_id)
    _update(found)
    return _json(lineitems.as_json(found, state().base_url), LINE_ITEM_TYPE)


@blueprint.delete("/ags/<course_id>/lineitems/<item_id>/lineitem")
def remove_line_item(course_id: str, item_id: str) -> Response:
    """Take a line item away, with its results."""
    found = _line_item(_authorized(course_id, LINE_ITEM), item_id)
    with state().lock:
        del state().line_items[found.id]
    return Response(status=204)


@blueprint.post("/ags/<course_id>/lineitems/<item_id>/lineitem/scores")
def add_score(course_id: str, item_id: str) -> Response:
    """Take a score (contracts/moodle-4.2/ags-score-post.json); one that is not newer is 409, as in Moodle."""
    course = _authorized(course_id, SCORE)
    found = _line_item(course, item_id)
    try:
        with state().lock:
            found.score(course, request.get_json(force=True, silent=True))
    except InvalidError as error:
        abort(400, str(error))
    except StaleError:
        return _json([], "application/json", 409)
    return Response("", 200)


@blueprint.get("/ags/<course_id>/lineitems/<item_id>/lineitem/results")
def results(course_id: str, item_id: str) -> Response:
    """The results of a line item (contracts/moodle-4.2/ags-results.json), a page at a time when there are many."""
    found = _line_item(_authorized(course_id, RESULT_READ), item_id)
    wanted = request.args.get("user_id")
    shown = [result for sub, result in found.results.items() if wanted in (None, sub)]
    start, size = request.args.get("from", 0, type=int), state().config.ags_page_size
    body = [lineitems.result_as_json(found, result, state().base_url) for result in shown[start : start + size]]
    if not state().config.ags_dates:
        body = [{name: value for name, value in entry.items() if name != "timestamp"} for entry in body]
    response = _json(body, RESULTS_TYPE)
    if start + size < len(shown):
        more = f"{lineitems.item_url(found, state().base_url, '/results')}&limit={size}&from={start + size}"
        response.headers["Link"] = f'<{more}>; rel="next"'
    return _versioned(response)


@blueprint.put("/notice-handlers/1")
def set_notice_handler() -> Response:
    """Where notices of copied courses go (Canvas API, "Platform Notification Service"); empty is nowhere."""
    _authorize(NOTICE_HANDLERS)
    told = request.get_json()
    if told.get("notice_type") != COPY_NOTICE or not isinstance(told.get("handler"), str):
        abort(400, "notice_type or handler is not right")
    state().notice_handler = told["handler"]
    return jsonify(told)


def _versioned(response: Response) -> Response:
    """The answer with its version, or that the caller has it already."""
    if state().config.ags_etags:
        response.add_etag()
        response.make_conditional(request)
    return response


def _authorized(course_id: str, *scopes: str) -> Course:
    """The course, for a request with a good token that has one of these scopes; 401, 403 or 404 otherwise."""
    _authorize(*scopes)
    return find_course(course_id)


def _authorize(*scopes: str) -> None:
    told = request.headers.get("Authorization", "").removeprefix("Bearer ")
    granted, ends = state().access_tokens.get(told, (frozenset[str](), datetime.min.replace(tzinfo=UTC)))
    if ends <= datetime.now(UTC):
        abort(401)
    if granted.isdisjoint(scopes):
        abort(403)


def _line_item(course: Course, item_id: str) -> LineItem:
    found = state().line_items.get(item_id)
    return found if found and found.course_id == course.id else abort(404)


def _update(item: LineItem) -> None:
    try:
        item.update(request.get_json(force=True, silent=True))
    except InvalidError as error:
        abort(400, str(error))


def _member(member: Member) -> dict[str, Any]:
    person = member.person
    shown = {
        "status": "Active" if member.active else "Inactive",
        "roles": member.short_roles,
        "user_id": person.sub,
        "lis_person_sourcedid": "",
        # Names come escaped here, but not in launches: that is how Moodle does it.
        "name": html.escape(person.name),
        "given_name": html.escape(person.given_name),
        "family_name": html.escape(person.family_name),
        "email": person.email,
        "ext_user_username": person.username,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _json(body: Any, content_type: str, status: int = 200) -> Response:
    response = jsonify(body)
    response.status_code = status
    response.content_type = f"{content_type}; charset=utf-8"
    return response
