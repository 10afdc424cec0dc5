"""Notices that a course was copied (LTI Platform Notification Service 1.0, in the shapes of the Canvas API's pages)."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import requests

from lti_tool.sandbox.lms.config import Tool
from lti_tool.sandbox.lms.keys import SigningKey
from lti_tool.sandbox.lms.people import Course
from lti_tool.sandbox.lms.scopes import LTI, NOTICE_HANDLERS

COPY_NOTICE = "LtiContextCopyNotice"
LIFE = timedelta(hours=1)


def service_claim(base_url: str) -> dict[str, Any]:
    """What a launch says of the service."""
    service = {
        "service_versions": ["1.0"],
        "platform_notification_service_url": f"{base_url}/lti/notice-handlers/1",
        "scope": [NOTICE_HANDLERS],
        "notice_types_supported": ["LtiHelloWorldNotice", COPY_NOTICE],
    }
    return {f"{LTI}platformnotificationservice": service}


def copy_notice(base_url: str, tool: Tool, course: Course, origin_id: str) -> dict[str, Any]:
    """The claims of a notice that a course was copied from another."""
    now = datetime.now(UTC)
    return {
        f"{LTI}version": "1.3.0",
        f"{LTI}notice": {
            "id": secrets.token_hex(16),
            "timestamp": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "type": COPY_NOTICE,
        },
        "aud": tool.client_id,
        "azp": tool.client_id,
        f"{LTI}deployment_id": tool.deployment_id,
        "exp": int((now + LIFE).timestamp()),
        "iat": int(now.timestamp()),
        "iss": base_url,
        "nonce": secrets.token_hex(16),
        f"{LTI}context": {
            "id": course.id,
            "label": course.label,
            "title": course.title,
            "type": ["http://purl.imsglobal.org/vocab/lis/v2/course#CourseOffering"],
        },
        f"{LTI}origin_contexts": [origin_id],
    }


def send(handler: str, claims: dict[str, Any], key: SigningKey) -> int:
    """Post one notice, once; gives the status of the answer."""
    token = jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.kid})
    return requests.post(handler, json={"notices": [{"jwt": token}]}, timeout=10).status_code
