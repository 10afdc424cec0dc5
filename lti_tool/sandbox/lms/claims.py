"""The claims of a launch, in the style of Moodle 4.2 (LTI core 1.3 §5.3, §5.4)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lti_tool.sandbox.lms.config import Tool
from lti_tool.sandbox.lms.people import Course, Member, Person
from lti_tool.sandbox.lms.scopes import AGS, AGS_SCOPES, LTI, NRPS


@dataclass(frozen=True)
class Launch:
    """Who opens the tool where, by which chosen link if any, or to choose one; `target` is iframe or window."""

    sub: str
    course_id: str
    target: str = "iframe"
    link_id: str | None = None
    choose: bool = False


@dataclass(frozen=True)
class ToolLink:
    """A link to the tool that a teacher has chosen (Deep Linking 2.0), with its own column if it has one."""

    id: str
    course_id: str
    title: str
    url: str
    custom: Mapping[str, str]
    line_item_id: str | None


def launch_claims(
    base_url: str, name: str, tool: Tool, course: Course, member: Member, launch: Launch, link: ToolLink | None
) -> dict[str, Any]:
    """All claims but nonce and times; with `link` of its launch, else of the course's own link."""
    person = member.person
    memberships = f"{base_url}/lti/nrps/{course.id}"
    return {
        "iss": base_url,
        "aud": tool.client_id,
        f"{LTI}deployment_id": tool.deployment_id,
        f"{LTI}target_link_uri": link.url if link else tool.target_link_uri,
        "sub": person.sub,
        f"{LTI}lis": {"person_sourcedid": "", "course_section_sourcedid": ""},
        f"{LTI}roles": list(member.roles),
        f"{LTI}context": {
            "id": course.id,
            "label": course.label,
            "title": course.title,
            "type": ["CourseSection"],
        },
        **_message(base_url, course, launch, link),
        "https://purl.imsglobal.org/spec/lti-bo/claim/basicoutcome": _basic_outcome(base_url, course, person),
        **_names(person),
        f"{LTI}ext": {"user_username": person.username, "lms": "sandbox"},
        f"{LTI}launch_presentation": {
            "locale": "en",
            "document_target": launch.target,
            "return_url": f"{base_url}/courses/{course.id}?as={person.sub}",
        },
        f"{LTI}tool_platform": _platform(base_url, name),
        f"{LTI}version": "1.3.0",
        f"{LTI}custom": _custom(course, link) | {"context_memberships_url": memberships},
        f"{AGS}claim/endpoint": {
            "scope": list(AGS_SCOPES),
            "lineitems": f"{base_url}/lti/ags/{course.id}/lineitems?type_id=1",
            **_line_item(base_url, course, link),
        },
        f"{NRPS}claim/namesroleservice": {"context_memberships_url": memberships, "service_versions": ["1.0", "2.0"]},
    }


def _message(base_url: str, course: Course, launch: Launch, link: ToolLink | None) -> dict[str, Any]:
    if launch.choose:
        settings = {
            "deep_link_return_url": f"{base_url}/lti/deep-linking/{course.id}",
            "accept_types": ["ltiResourceLink", "link"],
            "accept_presentation_document_targets": ["frame", "iframe", "window"],
            "accept_multiple": True,
            "accept_lineitem": True,
            "auto_create": False,
            "data": f"choice for {course.id}",
        }
        return {
            f"{LTI}message_type": "LtiDeepLinkingRequest",
            "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings": settings,
        }
    shown = (link.id, link.title) if link else (course.resource_link_id, "Badges")
    return {
        f"{LTI}message_type": "LtiResourceLinkRequest",
        f"{LTI}resource_link": {"title": shown[1], "description": "", "id": shown[0]},
    }


def _custom(course: Course, link: ToolLink | None) -> dict[str, str]:
    told = {"context_history": course.history, "resource_link_history": () if link else course.link_history}
    # Ids may have commas in them (LTI core 1.3 §B.2).
    histories = {name: ",".join(quote(part, safe="") for part in ids) for name, ids in told.items() if ids}
    return histories | dict(link.custom if link else {})


def _line_item(base_url: str, course: Course, link: ToolLink | None) -> dict[str, str]:
    item = link.line_item_id if link else course.resource_link_id
    return {"lineitem": f"{base_url}/lti/ags/{course.id}/lineitems/{item}/lineitem?type_id=1"} if item else {}


def _names(person: Person) -> dict[str, str]:
    names = {"given_name": person.given_name, "family_name": person.family_name, "name": person.name}
    return names | ({"email": person.email} if person.email else {})


def _platform(base_url: str, name: str) -> dict[str, str]:
    return {
        "product_family_code": "lti-badges-sandbox",
        "version": "1",
        "guid": hashlib.md5(base_url.encode(), usedforsecurity=False).hexdigest(),
        "name": "sandbox",
        "description": name,
    }


def _basic_outcome(base_url: str, course: Course, person: Person) -> dict[str, str]:
    # Moodle always sends this LTI 1.1 leftover; a tool that knows AGS lets it be, so nothing answers at the address.
    data = {"instanceid": course.resource_link_id, "userid": person.sub, "typeid": "1", "launchid": 1}
    digest = hashlib.sha256(json.dumps(data).encode()).hexdigest()
    return {
        "lis_result_sourcedid": json.dumps({"data": data, "hash": digest}, separators=(",", ":")),
        "lis_outcome_service_url": f"{base_url}/lti/outcomes",
    }
