"""The tool's side of a registration: LTI Dynamic Registration 1.0, and the document that Canvas takes instead."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from lti_tool.bodies import read_json
from lti_tool.lti.addresses import origin_of
from lti_tool.lti.claims import (
    HISTORY_PARAMETER,
    ID_LENGTH,
    LINK_HISTORY_PARAMETER,
    NOTICE_SCOPE,
    NRPS_SCOPE,
    group_of,
    id_of,
    text_of,
    texts_of,
)
from lti_tool.lti.errors import RegistrationError

AGS_SCOPES = tuple(
    f"https://purl.imsglobal.org/spec/lti-ags/scope/{name}"
    for name in ("lineitem", "lineitem.readonly", "result.readonly", "score")
)
SCOPES = (*AGS_SCOPES, NRPS_SCOPE)
TOOL_CONFIGURATION = "https://purl.imsglobal.org/spec/lti-tool-configuration"
PLATFORM_CONFIGURATION = "https://purl.imsglobal.org/spec/lti-platform-configuration"
CANVAS = "https://canvas.instructure.com/lti"
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
TIMEOUT = (5.0, 20.0)
MAXIMUM_BYTES = 1024 * 1024


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
class PlatformConfiguration:
    """What a platform says of itself (OpenID configuration with the LTI extension, §3.4)."""

    issuer: str
    auth_login_url: str
    auth_token_url: str
    jwks_url: str
    auth_audience: str | None
    registration_url: str
    family: str
    name: str
    # Whether it has notices of copied courses to give (LTI Platform Notification Service 1.0).
    tells_of_copies: bool = False


@dataclass(frozen=True)
class Registered:
    """The platform's answer; `deployment_id` is None where the platform tells it only at the first launch."""

    client_id: str
    deployment_id: str | None


def read_configuration(http: requests.Session, url: str, token: str | None) -> PlatformConfiguration:
    """Fetch and check the OpenID configuration of a platform; raises RegistrationError.

    The address comes from whoever opened the link: all that it leads to must be on its own host or below its domain.
    """
    if origin_of(url) is None:
        raise RegistrationError("The address of the LMS's configuration (openid_configuration) is no web address.")
    # Canvas gives its configuration only to the bearer of the registration token.
    body = _exchange(http, "GET", url, token)
    issuer = id_of(body, "issuer")
    found = PlatformConfiguration(
        issuer=issuer,
        auth_login_url=_address(body, "authorization_endpoint"),
        auth_token_url=_address(body, "token_endpoint"),
        jwks_url=_address(body, "jwks_uri"),
        auth_audience=text_of(body, "authorization_server", 1000) or None,
        # Needed for the link alone: addresses can be taken over from an LMS that registers nobody by itself.
        registration_url=_address(body, "registration_endpoint") if "registration_endpoint" in body else "",
        family=text_of(group_of(body, PLATFORM_CONFIGURATION), "product_family_code", 100),
        name=text_of(group_of(body, PLATFORM_CONFIGURATION), f"{CANVAS}/account_name", 200),
        tells_of_copies=NOTICE_SCOPE in texts_of(body, "scopes_supported"),
    )
    _check_hosts(url, found)
    return found


def register(
    http: requests.Session, platform: PlatformConfiguration, tool: ToolAddresses, token: str | None
) -> Registered:
    """Send our metadata to the platform (§3.5); raises RegistrationError."""
    metadata = client_metadata(tool, platform.family, tells_of_copies=platform.tells_of_copies)
    body = _exchange(http, "POST", platform.registration_url, token, metadata)
    client_id = id_of(body, "client_id")
    if not client_id:
        raise RegistrationError("The LMS accepted the registration, but gave no client id.")
    deployment_id = id_of(group_of(body, TOOL_CONFIGURATION), "deployment_id") or id_of(body, "deployment_id")
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


def _exchange(
    http: requests.Session, method: str, url: str, token: str | None, metadata: dict[str, Any] | None = None
) -> Mapping[str, Any]:
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    what = "configuration" if method == "GET" else "registration"
    try:
        # A redirect would carry the token elsewhere.
        with http.request(
            method, url, json=metadata, headers=headers, timeout=TIMEOUT, stream=True, allow_redirects=False
        ) as response:
            if not response.ok or response.is_redirect:
                raise RegistrationError(
                    f"The {what} address of the LMS answered with status {response.status_code}. A registration link "
                    "of the LMS often works only once and for an hour: start the registration there again."
                )
            body = read_json(response, MAXIMUM_BYTES)
    except requests.RequestException:
        raise RegistrationError(
            f"The {what} address of the LMS cannot be reached from here: {url.partition('?')[0]}"
        ) from None
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise RegistrationError(f"The {what} address of the LMS gave an answer that is not readable.")
    return body


def _address(body: Mapping[str, Any], name: str) -> str:
    url = text_of(body, name, ID_LENGTH * 4)
    if origin_of(url) is None:
        raise RegistrationError(f"The configuration of the LMS has no usable {name}.")
    return url


def _check_hosts(url: str, found: PlatformConfiguration) -> None:
    home = urlsplit(url)
    if origin_of(found.issuer) is None or not _is_near(found.issuer, home.hostname or ""):
        raise RegistrationError(f"The issuer in the configuration does not belong to {home.hostname}.")
    for address in filter(None, (found.auth_login_url, found.auth_token_url, found.jwks_url, found.registration_url)):
        if not _is_near(address, home.hostname or ""):
            host = urlsplit(address).hostname
            raise RegistrationError(f"The configuration at {home.hostname} names an address of another host: {host}.")
        if urlsplit(address).scheme != home.scheme and home.scheme == "https":
            raise RegistrationError(f"The configuration names an address without https: {address.partition('?')[0]}")


def _is_near(url: str, home: str) -> bool:
    """Whether a host is this one, or both are of one large service that spreads over several hosts."""
    host = urlsplit(url).hostname or ""
    services = ("instructure.com", "canvaslms.com"), ("brightspace.com", "d2l.com", "desire2learn.com")
    return host == home or any(_below(host, names) and _below(home, names) for names in services)


def _below(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
