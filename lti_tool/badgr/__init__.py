"""A client library for servers that speak the Badgr v2 API; it knows nothing of the rest of the tool."""
