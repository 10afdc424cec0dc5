"""Small local stand-ins for an LMS and for Badgr, over HTTP, for trying the tool and for its tests."""
