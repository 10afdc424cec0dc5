"""How the views of the sandbox Badgr reach its state."""

from flask import current_app, g, request

from lti_tool.sandbox.badgr.state import BadgrState


def state() -> BadgrState:
    """The state of the Badgr that answers this request."""
    # Kept for the whole request: one that comes late must not find the state of the next test.
    found: BadgrState = g.setdefault("state", current_app.extensions["sandbox_badgr"])
    return found


def address(path: str) -> str:
    """An absolute address, made from the request's Host header as Badgr does it."""
    return request.host_url.rstrip("/") + path
