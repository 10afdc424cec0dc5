"""A small local LMS: an LTI 1.3 platform with a course, a gradebook and a webhook."""

from lti_tool.sandbox.lms.app import create_lms
from lti_tool.sandbox.lms.state import LmsConfig, State, Tool, Webhook

__all__ = ["LmsConfig", "State", "Tool", "Webhook", "create_lms"]
