"""What an LMS may name in its configuration: addresses of its own and of its vendor, over https (LMS.md §1.2, §2)."""

import io
import json
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from lti_tool.lti.configuration import PlatformConfiguration, read_configuration
from lti_tool.lti.errors import RegistrationError

CANVAS = "https://canvas.instructure.com"
D2L = {
    "token_endpoint": "https://auth.brightspace.com/core/connect/token",
    "authorization_server": "https://api.brightspace.com/auth/token",
}


class Saying(BaseAdapter):
    """Every server of the world, with one answer."""

    def __init__(self, body: dict[str, str]) -> None:
        super().__init__()
        self._body = body

    def send(self, request: Any, *_args: Any, **_more: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response.raw = HTTPResponse(io.BytesIO(json.dumps(self._body).encode()), preload_content=False)
        return response

    def close(self) -> None:
        """Nothing is open."""


def read(home: str, **told: str) -> PlatformConfiguration:
    """The configuration of an LMS whose addresses are all at home, but for what is told."""
    paths = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "jwks"}
    body = {name: f"{home}/{path}" for name, path in paths.items()} | {"registration_endpoint": f"{home}/registration"}
    with requests.Session() as http:
        http.mount("https://", Saying({"issuer": home} | body | told))
        return read_configuration(http, f"{home}/openid-configuration", "token")


def test_brightspace_at_a_host_of_its_own_has_its_tokens_from_its_vendor() -> None:
    found = read("https://learn.school.example", **D2L)
    assert found.auth_token_url == D2L["token_endpoint"]
    assert found.auth_audience == D2L["authorization_server"]


def test_canvas_at_a_host_of_its_own_is_registered_there() -> None:
    at_vendor = {"token_endpoint": f"{CANVAS}/login/oauth2/token", "jwks_uri": "https://sso.canvaslms.com/jwks"}
    own = "https://canvas.school.example/api/lti/registrations"
    found = read("https://sso.canvaslms.com", issuer=CANVAS, registration_endpoint=own, **at_vendor)
    assert (found.issuer, found.registration_url) == (CANVAS, own)


def test_the_host_that_canvas_names_as_its_authorization_server_is_no_audience() -> None:
    assert read(CANVAS, authorization_server="sso.canvaslms.com").auth_audience is None


@pytest.mark.parametrize(
    ("home", "told"),
    [
        ("https://lms.example", {"issuer": "https://other.example"}),
        ("https://lms.example", {"issuer": CANVAS}),
        ("https://lms.example", {"issuer": "https://a * @lms.example"}),
        ("https://lms.example", {"authorization_endpoint": "https://a; sandbox @lms.example/auth"}),
        ("https://lms.example", {"token_endpoint": "https://school.brightspace.com/token"}),
        ("https://lms.example", {"jwks_uri": "https://auth.brightspace.com.evil.example/jwks"}),
        ("https://lms.example", {"registration_endpoint": "https://other.example/registration"}),
        ("https://school.instructure.com", {"registration_endpoint": "https://other.example/registration"}),
        (CANVAS, {"issuer": "https://other.example", "registration_endpoint": "https://other.example/registration"}),
        (CANVAS, {"registration_endpoint": "http://canvas.school.example/registration"}),
        ("https://lms.example", {"jwks_uri": "http://lms.example/jwks"}),
        # What is signed for this audience would open another LMS.
        ("https://lms.example", {"authorization_server": "https://other.example/token"}),
        ("https://lms.example", {"authorization_server": D2L["authorization_server"]}),
    ],
)
def test_an_address_of_somebody_else_is_refused(home: str, told: dict[str, str]) -> None:
    with pytest.raises(RegistrationError):
        read(home, **told)
