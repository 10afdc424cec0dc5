"""How the views of the sandbox LMS reach its state."""

from flask import abort, current_app, g

from lti_tool.sandbox.lms.people import Course
from lti_tool.sandbox.lms.state import LmsState


def state() -> LmsState:
    """The state of the LMS that answers this request."""
    # Kept for the whole request: one that comes late must not find the state of the next test.
    found: LmsState = g.setdefault("state", current_app.extensions["sandbox_lms"])
    return found


def find_course(course_id: str) -> Course:
    """The course with this id; 404 when there is none."""
    return state().courses.get(course_id) or abort(404)
