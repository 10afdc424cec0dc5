"""A small local LMS: LTI 1.3 launches, NRPS, AGS, and a gradebook whose grades are posted to a webhook."""

from lti_tool.sandbox.faults import Fault
from lti_tool.sandbox.lms.app import create_lms
from lti_tool.sandbox.lms.config import LmsConfig, Tool, Webhook
from lti_tool.sandbox.lms.state import LmsState

__all__ = ["Fault", "LmsConfig", "LmsState", "Tool", "Webhook", "create_lms"]
