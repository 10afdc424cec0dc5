"""A small local Badgr: OAuth 2, the parts of its v2 API that award badges, and public Open Badges 2.0 pages."""

from lti_tool.sandbox.badgr.app import create_badgr
from lti_tool.sandbox.badgr.config import BadgrConfig
from lti_tool.sandbox.badgr.state import BadgrState
from lti_tool.sandbox.faults import Fault

__all__ = ["BadgrConfig", "BadgrState", "Fault", "create_badgr"]
