"""How the views of the sandbox LMS reach its state."""

from flask import current_app

from lti_tool.sandbox.lms.state import State
from lti_tool.sandbox.lms.webhooks import Delivery


def state() -> State:
    """The state of the LMS that answers this request."""
    found: State = current_app.extensions["sandbox_lms"]
    return found


def deliveries() -> list[Delivery]:
    """Every webhook so far, oldest first."""
    found: list[Delivery] = current_app.extensions["sandbox_deliveries"]
    return found
