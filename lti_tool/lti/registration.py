"""The tool's side of a registration: LTI Dynamic Registration 1.0, and the document that Canvas takes instead."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from lti_tool.lti.claims import HISTORY_PARAMETER, LINK_HISTORY_PARAMETER, NOTICE_SCOPE, NRPS_SCOPE, group_of, id_of
from lti_tool.lti.configuration import CANVAS, PlatformConfiguration, exchange
from lti_tool.lti.errors import RegistrationError

AGS_SCOPES = tuple(
    f"https://purl.imsglobal.org/spec/lti-ags/scope/{name}"
    for name in ("lineitem", "lineitem.readonly", "result.readonly", "score")
)
SCOPES = (*AGS_SCOPES, NRPS_SCOPE)
TOOL_CONFIGURATION = "https://purl.imsglobal.org/spec/lti-tool-configuration"
CLAIMS = ("iss", "sub", "name", "given_name", "family_name", "email")
# Canvas tells ids of its own only by variables; its Live Events know people and courses by them.
CANVAS_PARAMETERS = {
    "canvas_user_id": "$Canvas.user.globalId",
    "canvas_user_local_id": "$Canvas.user.id",
    "canvas_user_sis_id": "$Canvas.user.sisSourceId",
    "canvas_course_id": "$com.instructure.Context.globalId",
    "canvas_course_local_id": "$Canvas.course.id",
    "canvas_course_sis_id": "$Canvas.course.sisSourceId",
    "canvas_environment": "$Canvas.environment.test",
}
PARAMETERS = {HISTORY_PARAMETER: "$Context.id.history", LINK_HISTORY_PARAMETER: "$ResourceLink.id.history"}
NAME, DESCRIPTION = "Badges", "Open Badges for what learners achieve in a course."


@dataclass(frozen=True)
class ToolAddresses:
    """Where the tool is, for platforms."""

    base_url: str
    login_url: str
    launch_url: str
    jwks_url: str
    icon_url: str

    @property
    def domain(self) -> str:
        """The host, with its port when it has one of its own."""
        return urlsplit(self.base_url).netloc


@dataclass(frozen=True)
class Registered:
    """The platform's answer; `deployment_id` is None where the platform tells it only at the first launch."""

    client_id: str
    deployment_id: str | None


def register(
    http: requests.Session, platform: PlatformConfiguration, tool: ToolAddresses, token: str | None
) -> Registered:
    """Send our metadata to the platform (§3.5); raises RegistrationError."""
    metadata = client_metadata(tool, platform.family, tells_of_copies=platform.tells_of_copies)
    body = exchange(http, "POST", platform.registration_url, token, metadata)
    client_id = _id(body, "client_id")
    if not client_id:
        raise RegistrationError("The LMS accepted the registration, but gave no client id.")
    deployment_id = _id(group_of(body, TOOL_CONFIGURATION), "deployment_id") or _id(body, "deployment_id")
    return Registered(client_id, deployment_id or None)


def client_metadata(tool: ToolAddresses, family: str, *, tells_of_copies: bool = False) -> dict[str, Any]:
    """What the tool says of itself (§3.5.1), with what this family of LMS wants to hear.

    Only a platform that `tells_of_copies` is asked for notices: others may refuse a scope that they do not know.
    """
    is_canvas = family == "canvas"
    scopes = (*SCOPES, NOTICE_SCOPE) if is_canvas or tells_of_copies else SCOPES
    configuration = {
        "domain": tool.domain,
        "description": DESCRIPTION,
        "target_link_uri": tool.launch_url,
        "custom_parameters": PARAMETERS | (CANVAS_PARAMETERS if is_canvas else {}),
        "claims": list(CLAIMS),
        "messages": _messages(tool, is_canvas=is_canvas),
    }
    if is_canvas:
        configuration |= {f"{CANVAS}/privacy_level": "public", f"{CANVAS}/tool_id": "lti-badges"}
    return {
        "application_type": "web",
        "response_types": ["id_token"],
        # Canvas wants both to be named.
        "grant_types": ["client_credentials", "implicit"],
        "initiate_login_uri": tool.login_url,
        "redirect_uris": [tool.launch_url],
        "client_name": NAME,
        "jwks_uri": tool.jwks_url,
        "logo_uri": tool.icon_url,
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": " ".join(scopes),
        TOOL_CONFIGURATION: configuration,
    }


def canvas_document(tool: ToolAddresses) -> dict[str, Any]:
    """The configuration for "Paste JSON" of a Canvas developer key (Canvas API, "LTI Developer Key Configuration")."""
    link = {"target_link_uri": tool.launch_url, "text": NAME, "icon_url": tool.icon_url}
    choose = link | {"message_type": "LtiDeepLinkingRequest", "selection_width": 900, "selection_height": 700}
    course = {"placement": "course_navigation", "default": "enabled", "visibility": "members"}
    return {
        "title": NAME,
        "description": DESCRIPTION,
        "oidc_initiation_url": tool.login_url,
        "target_link_uri": tool.launch_url,
        "public_jwk_url": tool.jwks_url,
        "scopes": [*SCOPES, NOTICE_SCOPE],
        "custom_fields": PARAMETERS | CANVAS_PARAMETERS,
        "extensions": [
            {
                "platform": "canvas.instructure.com",
                "domain": tool.domain,
                "tool_id": "lti-badges",
                # Badges go to e-mail addresses: a lower level withholds them.
                "privacy_level": "public",
                "settings": {
                    "text": NAME,
                    "icon_url": tool.icon_url,
                    "placements": [
                        link | course | {"message_type": "LtiResourceLinkRequest"},
                        choose | {"placement": "assignment_selection"},
                        choose | {"placement": "link_selection"},
                    ],
                },
            }
        ],
    }


def _id(body: Mapping[str, Any], name: str) -> str:
    # Launches name it as a text, whatever it is here.
    value = body.get(name)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return id_of({name: str(value)} if is_number else body, name)


def _messages(tool: ToolAddresses, *, is_canvas: bool) -> list[dict[str, Any]]:
    launch: dict[str, Any] = {"type": "LtiResourceLinkRequest", "target_link_uri": tool.launch_url, "label": NAME}
    choose: dict[str, Any] = {
        "type": "LtiDeepLinkingRequest",
        "target_link_uri": tool.launch_url,
        "label": "Add badges",
        "placements": ["ContentArea"],
        "supported_types": ["ltiResourceLink"],
    }
    if is_canvas:
        launch |= {
            "placements": ["course_navigation"],
            f"{CANVAS}/course_navigation/default_enabled": True,
            f"{CANVAS}/visibility": "members",
        }
        choose["placements"] = ["link_selection", "assignment_selection"]
    return [launch, choose]
