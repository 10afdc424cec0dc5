"""The LMS's services for the tool: the roster (NRPS 2.0) and line items with results (AGS 2.0)."""

import html
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request

from lti_tool.sandbox.lms.oidc import AGS_SCOPES, NRPS_SCOPE
from lti_tool.sandbox.lms.state import Course, Person
from lti_tool.sandbox.lms.store import state

blueprint = Blueprint("services", __name__, url_prefix="/lti/services/<course_id>")

NRPS_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
LINE_ITEM_TYPE = "application/vnd.ims.lis.v2.lineitem+json"
LINE_ITEMS_TYPE = "application/vnd.ims.lis.v2.lineitemcontainer+json"
RESULTS_TYPE = "application/vnd.ims.lis.v2.resultcontainer+json"


@blueprint.get("/memberships")
def memberships(course_id: str) -> Response:
    """The roster, a page at a time (contracts/moodle-4.2/nrps-page1.json)."""
    course = _authorized(course_id, {NRPS_SCOPE})
    if NRPS_TYPE not in request.headers.get("Accept", ""):
        abort(400, "Accept must name the membership container")
    start = request.args.get("from", 0, type=int)
    limit = request.args.get("limit", state().config.nrps_page_size, type=int)
    members = [_member(person) for person in course.people]
    body = {
        "id": request.base_url,
        "context": {"id": course.id, "label": course.label, "title": course.title},
        "members": members[start : start + limit],
    }
    response = _json(body, NRPS_TYPE)
    if start + limit < len(members):
        response.headers["Link"] = f'<{request.base_url}?limit={limit}&from={start + limit}>; rel="next"'
    return response


@blueprint.route("/lineitems", methods=["GET", "POST"])
def line_items(course_id: str) -> Response:
    """The tool's own line items, and making one (contracts/moodle-4.2/ags-lineitem*.json)."""
    course = _authorized(course_id, {AGS_SCOPES[0]} if request.method == "POST" else set(AGS_SCOPES[:2]))
    if request.method == "GET":
        return _json(list(course.line_items.values()), LINE_ITEMS_TYPE)
    told = request.get_json(force=True)
    number = len(course.line_items) + 1
    item = {name: told[name] for name in ("label", "scoreMaximum", "resourceId", "tag") if name in told}
    item["id"] = f"{request.base_url}/{number}/lineitem?type_id=1"
    with state().lock:
        course.line_items[number] = item
    return _json(item, LINE_ITEM_TYPE, 201)


@blueprint.route("/lineitems/<int:number>/lineitem", methods=["GET", "PUT", "DELETE"])
def line_item(course_id: str, number: int) -> Response:
    """One of the tool's line items."""
    course = _authorized(course_id, set(AGS_SCOPES[:2]) if request.method == "GET" else {AGS_SCOPES[0]})
    item = course.line_items.get(number) or abort(404)
    if request.method == "DELETE":
        del course.line_items[number]
        return Response(status=204)
    if request.method == "PUT":
        item.update(label=request.get_json(force=True)["label"])
    return _json(item, LINE_ITEM_TYPE)


@blueprint.post("/lineitems/<int:number>/lineitem/scores")
def scores(course_id: str, number: int) -> Response:
    """Take a score from the tool; one that is not newer is refused with 409, as Moodle does."""
    course = _authorized(course_id, {AGS_SCOPES[3]})
    item = course.line_items.get(number) or abort(404)
    told = request.get_json(force=True)
    person = course.person(str(told["userId"]))
    if person is None or person.teaches:
        return jsonify([]), 400  # type: ignore[return-value]
    former = course.results.get((number, person.sub))
    if former and datetime.fromisoformat(told["timestamp"]) <= datetime.fromisoformat(former["timestamp"]):
        return jsonify([]), 409  # type: ignore[return-value]
    with state().lock:
        course.results[number, person.sub] = {
            "id": f"{item['id'].partition('?')[0]}/results?type_id=1&user_id={person.sub}",
            "userId": person.sub,
            "resultScore": told.get("scoreGiven"),
            "resultMaximum": item["scoreMaximum"],
            "comment": told.get("comment", ""),
            "scoreOf": item["id"],
            "timestamp": told["timestamp"],
        }
    return Response("", 200)


@blueprint.get("/lineitems/<int:number>/lineitem/results")
def results(course_id: str, number: int) -> Response:
    """The results of a line item (contracts/moodle-4.2/ags-results.json)."""
    course = _authorized(course_id, {AGS_SCOPES[2]})
    wanted = request.args.get("user_id")
    found = [result for (item, sub), result in course.results.items() if item == number and wanted in (None, sub)]
    return _json(found, RESULTS_TYPE)


def _authorized(course_id: str, scopes: set[str]) -> Course:
    value = request.headers.get("Authorization", "").removeprefix("Bearer ")
    ends, granted = state().tokens.get(value, (datetime.min.replace(tzinfo=UTC), frozenset()))
    if ends < datetime.now(UTC):
        abort(401)
    if not scopes & granted:
        abort(403)
    return state().courses.get(course_id) or abort(404)


def _member(person: Person) -> dict[str, Any]:
    member = {
        "status": "Active" if person.active else "Inactive",
        # Short names here, long ones in launches, and names escaped: that is how Moodle does it.
        "roles": [*person.roles, *(person.role_uris[-1:] if person.is_test else [])],
        "user_id": person.sub,
        "lis_person_sourcedid": "",
        "name": html.escape(person.name),
        "given_name": html.escape(person.given_name),
        "family_name": html.escape(person.family_name),
        "email": person.email,
    }
    return {name: value for name, value in member.items() if value is not None}


def _json(body: Any, content_type: str, status: int = 200) -> Response:
    response = jsonify(body)
    response.status_code = status
    response.content_type = f"{content_type}; charset=utf-8"
    return response
