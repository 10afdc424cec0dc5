"""The LMS's side of Deep Linking 2.0: takes the signed answer of the tool and keeps the chosen links."""

import secrets
from typing import Any

import jwt
import requests
from flask import Blueprint, abort, render_template, request

from lti_tool.sandbox.lms.claims import ToolLink
from lti_tool.sandbox.lms.lineitems import LineItem
from lti_tool.sandbox.lms.oidc import key_of
from lti_tool.sandbox.lms.people import Course
from lti_tool.sandbox.lms.scopes import LTI
from lti_tool.sandbox.lms.store import find_course, state

blueprint = Blueprint("deep_linking", __name__)

DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"


@blueprint.post("/lti/deep-linking/<course_id>")
def answer(course_id: str) -> str:
    """Check the response message (§4.4) and add what was chosen to the course."""
    course = find_course(course_id)
    claims = _verified(request.form.get("JWT", ""))
    if claims.get(f"{DL}data") != f"choice for {course.id}":
        abort(400, "data is not what the request had")
    items = claims.get(f"{DL}content_items", [])
    with state().lock:
        added = [_add(course, item) for item in items if item.get("type") == "ltiResourceLink"]
    return render_template("lms/chosen.html", course=course, added=added, said=claims.get(f"{DL}msg", ""))


def _verified(message: str) -> dict[str, Any]:
    tool = state().tool or abort(409)
    try:
        claims: dict[str, Any] = jwt.decode(
            message,
            key_of(tool, jwt.get_unverified_header(message)["kid"]),
            algorithms=["RS256"],
            audience=state().base_url,
            issuer=tool.client_id,
            options={"require": ["iss", "aud", "iat", "exp", "nonce"]},
        )
    except (KeyError, LookupError, jwt.PyJWTError, requests.RequestException) as error:
        abort(401, f"the message is not rightly signed: {type(error).__name__}")
    told = {name: claims.get(f"{LTI}{name}") for name in ("deployment_id", "message_type", "version")}
    if told != {
        "deployment_id": tool.deployment_id,
        "message_type": "LtiDeepLinkingResponse",
        "version": "1.3.0",
    }:
        abort(400, f"not a deep linking response for this deployment: {told}")
    with state().lock:
        if claims["nonce"] in state().used_jti:
            abort(400, "this message was used already")
        state().used_jti.add(claims["nonce"])
    return claims


def _add(course: Course, item: dict[str, Any]) -> ToolLink:
    link_id, column = secrets.token_hex(4), item.get("lineItem")
    if column:
        maximum = column["scoreMaximum"]
        state().line_items[link_id] = LineItem(
            link_id,
            course.id,
            column.get("label") or item["title"],
            maximum,
            column.get("resourceId", ""),
            column.get("tag", ""),
            link_id,
        )
    link = ToolLink(link_id, course.id, item["title"], item["url"], item.get("custom", {}), link_id if column else None)
    state().links[link_id] = link
    return link
