"""The browser of these tests really blocks third-party cookies; else the journey in the frame would prove nothing."""

from flask import Flask, request
from playwright.sync_api import BrowserContext

from lti_tool.sandbox.serving import LocalServer


def test_only_partitioned_cookies_come_back_in_a_frame(context: BrowserContext) -> None:
    framed, outer = Flask("framed"), Flask("outer")

    @framed.get("/set")
    def set_cookies() -> tuple[str, list[tuple[str, str]]]:
        attributes = "Secure; SameSite=None; Path=/"
        cookies = [f"plain=1; {attributes}", f"kept=1; {attributes}; Partitioned"]
        return '<a href="/seen">go on</a>', [("Set-Cookie", cookie) for cookie in cookies]

    @framed.get("/seen")
    def seen() -> str:
        return f"<p>{' '.join(sorted(request.cookies))}</p>"

    with LocalServer(framed, "127.0.0.1") as inside, LocalServer(outer, "localhost") as outside:
        outer.add_url_rule("/", view_func=lambda: f'<iframe name="framed" src="{inside.url}/set"></iframe>')
        page = context.new_page()
        page.goto(outside.url)
        frame = page.frame_locator("iframe[name=framed]")
        frame.get_by_role("link", name="go on").click()
        assert frame.locator("p").inner_text() == "kept"
