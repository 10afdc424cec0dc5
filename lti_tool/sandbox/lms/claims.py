"""The claims of a launch, in the style of Moodle 4.2 (LTI core 1.3 §5.3, §5.4)."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from lti_tool.sandbox.lms.config import Tool
from lti_tool.sandbox.lms.people import Course, Member, Person
from lti_tool.sandbox.lms.scopes import AGS, AGS_SCOPES, LTI, NRPS


@dataclass(frozen=True)
class Launch:
    """Who opens the tool where; `target` is iframe or window."""

    sub: str
    course_id: str
    target: str = "iframe"


def launch_claims(base_url: str, name: str, tool: Tool, course: Course, member: Member, target: str) -> dict[str, Any]:
    """All claims but nonce and times."""
    person = member.person
    memberships = f"{base_url}/lti/nrps/{course.id}"
    return {
        "iss": base_url,
        "aud": tool.client_id,
        f"{LTI}deployment_id": tool.deployment_id,
        f"{LTI}target_link_uri": tool.target_link_uri,
        "sub": person.sub,
        f"{LTI}lis": {"person_sourcedid": "", "course_section_sourcedid": ""},
        f"{LTI}roles": list(member.roles),
        f"{LTI}context": {
            "id": course.id,
            "label": course.label,
            "title": course.title,
            "type": ["CourseSection"],
        },
        f"{LTI}message_type": "LtiResourceLinkRequest",
        f"{LTI}resource_link": {"title": "Badges", "description": "", "id": course.resource_link_id},
        "https://purl.imsglobal.org/spec/lti-bo/claim/basicoutcome": _basic_outcome(base_url, course, person),
        **_names(person),
        f"{LTI}ext": {"user_username": person.username, "lms": "sandbox"},
        f"{LTI}launch_presentation": {
            "locale": "en",
            "document_target": target,
            "return_url": f"{base_url}/courses/{course.id}?as={person.sub}",
        },
        f"{LTI}tool_platform": _platform(base_url, name),
        f"{LTI}version": "1.3.0",
        f"{LTI}custom": {"context_memberships_url": memberships},
        f"{AGS}claim/endpoint": {
            "scope": list(AGS_SCOPES),
            "lineitems": f"{base_url}/lti/ags/{course.id}/lineitems?type_id=1",
            "lineitem": f"{base_url}/lti/ags/{course.id}/lineitems/{course.resource_link_id}/lineitem?type_id=1",
        },
        f"{NRPS}claim/namesroleservice": {"context_memberships_url": memberships, "service_versions": ["1.0", "2.0"]},
    }


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
