"""What a platform says of itself: its OpenID configuration, and whether what that names is its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from lti_tool.bodies import read_json
from lti_tool.lti.addresses import origin_of
from lti_tool.lti.claims import ID_LENGTH, NOTICE_SCOPE, group_of, id_of, text_of, texts_of
from lti_tool.lti.errors import RegistrationError

PLATFORM_CONFIGURATION = "https://purl.imsglobal.org/spec/lti-platform-configuration"
CANVAS = "https://canvas.instructure.com/lti"
# Vendors that spread over several hosts.
SERVICES = (
    ("instructure.com", "canvaslms.com"),
    ("brightspace.com", "d2l.com", "desire2learn.com"),
    ("blackboard.com",),
)
# Hosts of vendors, for every institution: those with a host of their own name them, too.
SHARED_HOSTS = (
    "auth.brightspace.com",
    "api.brightspace.com",
    *(f"canvas.{environment}instructure.com" for environment in ("", "beta.", "test.")),
    *(f"sso.{environment}canvaslms.com" for environment in ("", "beta.", "test.")),
    "developer.blackboard.com",
)
TIMEOUT = (5.0, 20.0)
MAXIMUM_BYTES = 1024 * 1024
LONGEST_REASON = 300


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


def read_configuration(http: requests.Session, url: str, token: str | None) -> PlatformConfiguration:
    """Fetch and check the OpenID configuration of a platform; raises RegistrationError.

    The address comes from whoever opened the link: all that it leads to must be on its own host, or of its vendor.
    """
    if origin_of(url) is None:
        raise RegistrationError("The address of the LMS's configuration (openid_configuration) is no web address.")
    # Canvas gives its configuration only to the bearer of the registration token.
    body = exchange(http, "GET", url, token)
    found = PlatformConfiguration(
        issuer=id_of(body, "issuer"),
        auth_login_url=_address(body, "authorization_endpoint"),
        auth_token_url=_address(body, "token_endpoint"),
        jwks_url=_address(body, "jwks_uri"),
        auth_audience=_audience(body),
        # Needed for the link alone: addresses can be taken over from an LMS that registers nobody by itself.
        registration_url=_address(body, "registration_endpoint") if "registration_endpoint" in body else "",
        family=text_of(group_of(body, PLATFORM_CONFIGURATION), "product_family_code", 100),
        name=text_of(group_of(body, PLATFORM_CONFIGURATION), f"{CANVAS}/account_name", 200),
        tells_of_copies=NOTICE_SCOPE in texts_of(body, "scopes_supported"),
    )
    _check_hosts(url, found)
    return found


def are_of_one_service(url: str, other: str) -> bool:
    """Whether two addresses are at one host, or at hosts of one vendor."""
    host, home = _host(url), _host(other)
    return host == home or any(_below(host, names) and _below(home, names) for names in SERVICES)


def exchange(
    http: requests.Session, method: str, url: str, token: str | None, metadata: dict[str, Any] | None = None
) -> Mapping[str, Any]:
    """One call of a registration, with the platform's token for it; raises RegistrationError."""
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    what = "configuration" if method == "GET" else "registration"
    try:
        # A redirect would carry the token elsewhere.
        with http.request(
            method, url, json=metadata, headers=headers, timeout=TIMEOUT, stream=True, allow_redirects=False
        ) as response:
            if not response.ok or response.is_redirect:
                raise RegistrationError(
                    f"The {what} address of the LMS answered with status {response.status_code}{_reason(response)}. A "
                    "registration link of the LMS often works only once and for an hour: start the registration there "
                    "again."
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


def _reason(response: requests.Response) -> str:
    """What the LMS says of its refusal, as far as it is a short text (Moodle: plain text, others: JSON)."""
    told = next(response.iter_content(4 * LONGEST_REASON), b"").decode("utf-8", "replace")
    if response.is_redirect or "html" in response.headers.get("Content-Type", "").lower():
        return ""
    words = " ".join("".join(char if char.isprintable() else " " for char in told).split())
    return f": “{words[:LONGEST_REASON]}”" if words else ""


def _address(body: Mapping[str, Any], name: str) -> str:
    url = text_of(body, name, ID_LENGTH * 4)
    if origin_of(url) is None:
        raise RegistrationError(f"The configuration of the LMS has no usable {name}.")
    return url


def _audience(body: Mapping[str, Any]) -> str | None:
    # Canvas names a host here and wants its token address all the same.
    told = text_of(body, "authorization_server", 1000)
    return told if origin_of(told) else None


def _check_hosts(url: str, found: PlatformConfiguration) -> None:
    home = _host(url)
    if origin_of(found.issuer) is None or not are_of_one_service(found.issuer, url):
        raise RegistrationError(f"The issuer in the configuration does not belong to {home}.")
    # Else the tool would sign, for one LMS, what opens another.
    if found.auth_audience and not are_of_one_service(found.auth_audience, found.auth_token_url):
        raise RegistrationError(f"The authorization server in the configuration does not belong to {home}.")
    for address in filter(None, (found.auth_login_url, found.auth_token_url, found.jwks_url, found.registration_url)):
        # An institution's own address at a vendor's: the vendor has said it.
        is_vouched_for = address == found.registration_url and home in SHARED_HOSTS
        if not is_vouched_for and not are_of_one_service(address, url) and _host(address) not in SHARED_HOSTS:
            raise RegistrationError(f"The configuration at {home} names an address of another host: {_host(address)}.")
        if urlsplit(address).scheme != "https" and urlsplit(url).scheme == "https":
            raise RegistrationError(f"The configuration names an address without https: {address.partition('?')[0]}")


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _below(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
