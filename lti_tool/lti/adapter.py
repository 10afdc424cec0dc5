"""pylti1p3's abstract parts over plain values: no web framework, no state of its own."""

from collections.abc import Mapping

from pylti1p3.cookie import CookieService
from pylti1p3.deployment import Deployment as LibraryDeployment
from pylti1p3.redirect import Redirect
from pylti1p3.registration import Registration
from pylti1p3.request import Request
from pylti1p3.session import SessionService
from pylti1p3.tool_config.abstract import ToolConfAbstract

from lti_tool.models import Platform


class PlainRequest(Request):
    """The parameters of a request."""

    def __init__(self, params: Mapping[str, str]) -> None:
        self._params = params

    def is_secure(self) -> bool:
        return True

    def get_param(self, key: str) -> str:
        return self._params.get(key, "")


class NoCookies(CookieService):
    """Sets no cookie: the one of the login is given back to the web layer (see `state`)."""

    def get_cookie(self, name: str) -> str | None:
        return None

    def set_cookie(self, name: str, value: str | int, exp: int | None = 3600) -> None:
        return None


class NoSession(SessionService):
    """Keeps nothing: the signed state carries what a login leaves, the database which nonces were used."""

    def __init__(self) -> None:
        """Leave out the storage that the library would make."""

    def save_nonce(self, nonce: str) -> None:
        return None


class PlainRedirect(Redirect[str]):
    """An address to go to."""

    def __init__(self, url: str) -> None:
        self._url = url

    def do_redirect(self) -> str:
        return self._url

    def do_js_redirect(self) -> str:
        return self._url

    def set_redirect_url(self, location: str) -> None:
        self._url = location

    def get_redirect_url(self) -> str:
        return self._url


class OnePlatform(ToolConfAbstract[PlainRequest]):
    """The registration of the one platform that our own look-up has found."""

    def __init__(self, platform: Platform | None = None) -> None:
        self._platform = platform

    def check_iss_has_one_client(self, iss: str) -> bool:
        return False

    def check_iss_has_many_clients(self, iss: str) -> bool:
        return True

    def find_registration_by_params(self, iss: str, client_id: str, *args: object, **kwargs: object) -> Registration:
        if self._platform is None:
            raise LookupError("no platform was given")
        return registration_of(self._platform)

    def find_registration_by_issuer(self, iss: str, *args: object, **kwargs: object) -> Registration:
        raise NotImplementedError

    def find_deployment(self, iss: str, deployment_id: str) -> LibraryDeployment | None:
        raise NotImplementedError

    def find_deployment_by_params(
        self, iss: str, deployment_id: str, client_id: str, *args: object, **kwargs: object
    ) -> LibraryDeployment | None:
        raise NotImplementedError


def registration_of(platform: Platform) -> Registration:
    """A platform as the library knows it."""
    registration = Registration().set_issuer(platform.issuer).set_client_id(platform.client_id)
    registration.set_auth_login_url(platform.auth_login_url).set_auth_token_url(platform.auth_token_url)
    return registration.set_key_set_url(platform.jwks_url)
