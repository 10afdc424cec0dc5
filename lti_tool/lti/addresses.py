"""Web addresses: which ones we take, and whether two share an origin."""

import re
from urllib.parse import urlsplit

# A host and a port, and nothing else: origins become a part of our content policy.
PLAIN_HOST = re.compile(r"(?:[a-z0-9._-]{1,240}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an http(s) address; None for anything else (RFC 6454 §4), as one with a user's name."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if port is None or parts.scheme not in DEFAULT_PORTS or not PLAIN_HOST.fullmatch(parts.netloc.lower()):
        return None
    return parts.scheme, parts.hostname or "", port


def is_same_origin(url: str, other: str) -> bool:
    """Whether both are web addresses of the same origin."""
    origin = origin_of(url)
    return origin is not None and origin == origin_of(other)


def origin_text(url: str) -> str:
    """The origin as browsers write it: without the port that goes without saying; empty for no web address."""
    found = origin_of(url)
    if found is None:
        return ""
    scheme, name, port = found
    host = f"[{name}]" if ":" in name else name
    return f"{scheme}://{host}" if port == DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"
