"""A browser without scripts: that a journey works in it shows that no page needs JavaScript."""

from typing import Any, Self
from urllib.parse import urlsplit

import requests
from mechanicalsoup import StatefulBrowser
from requests.cookies import RequestsCookieJar

TIMEOUT_SECONDS = 30
HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


class _LoopbackCookies(RequestsCookieJar):
    """Browsers treat this machine as secure without https: a Secure cookie is sent all the same."""

    def set_cookie(self, cookie: Any, *args: Any, **kwargs: Any) -> Any:
        cookie.secure = False
        return super().set_cookie(cookie, *args, **kwargs)


class _Browser(StatefulBrowser):  # type: ignore[misc]
    """Says where a form was filled in, as browsers do (Fetch §3.2); at its first stop only, which is all we look at."""

    def submit(self, form: Any, url: str | None = None, **kwargs: Any) -> requests.Response:
        page = urlsplit(url or "")
        headers = {"Origin": f"{page.scheme}://{page.netloc}", **kwargs.pop("headers", {})}
        response: requests.Response = super().submit(form, url, headers=headers, **kwargs)
        return response


class Visitor:
    """A browser without scripts and without a screen."""

    def __init__(self) -> None:
        session = requests.Session()
        session.trust_env = False
        session.headers["Accept"] = HTML
        session.cookies = _LoopbackCookies()
        self.browser: Any = _Browser(session, soup_config={"features": "html.parser"})
        self.status = 0

    def open(self, url: str) -> Self:
        """Load a page by its address, absolute or relative to the present one."""
        self.status = self.browser.open(self.browser.absolute_url(url), timeout=TIMEOUT_SECONDS).status_code
        return self

    def follow(self, part: str) -> Self:
        """Follow the first link of the main part whose address contains `part`."""
        return self.open(self.page.select_one(f"main a[href*='{part}']")["href"])

    def submit(
        self, action: str | None = None, values: dict[str, str] | None = None, button: tuple[str, str] | None = None
    ) -> Self:
        """Fill in and send the form whose action contains `action`."""
        form = self.browser.select_form(f"form[action*='{action}']" if action else "form[method=post]")
        for name, value in (values or {}).items():
            form.set(name, value)
        if button:
            form.choose_submit(self.page.select_one(f"button[name={button[0]}][value={button[1]}]"))
        self.status = self.browser.submit_selected(timeout=TIMEOUT_SECONDS).status_code
        return self

    @property
    def url(self) -> str:
        """The address of the present page."""
        return str(self.browser.url)

    @property
    def page(self) -> Any:
        """The present page, parsed."""
        return self.browser.page

    @property
    def text(self) -> str:
        """The words of the present page, with single spaces."""
        return " ".join(self.page.get_text(" ").split())
