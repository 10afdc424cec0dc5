"""LTI Badges: grades and completions in any LMS become Open Badges issued by Badgr."""

__version__ = "0.1.0"
