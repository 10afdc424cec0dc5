"""HTTP sessions for calls to the outside: a user agent, limits of time and length, no private addresses."""

import ipaddress
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError, ProtocolError

from lti_tool import __version__

USER_AGENT = f"LTI-Badges/{__version__} (+https://purl.imsglobal.org/spec/lti/v1p3)"
DEFAULT_TIMEOUT = (5.0, 20.0)
# For a whole answer: a server that sends a byte now and then never runs into a timeout.
LONGEST_ANSWER = 120.0
MAXIMUM_BYTES = 16 * 1024 * 1024
LONGEST_WAIT = 24 * 60 * 60
PRIVATE = "the address is a private one and is not called"
# IPv6 addresses that carry an IPv4 address in their last 32 bits: NAT64, and IPv4-compatible ones (RFC 4291 §2.5.5.1).
TRANSLATED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
# NAT64 within one network (RFC 8215), whose addresses carry IPv4 anywhere.
TRANSLATED_WITHIN = ipaddress.ip_network("64:ff9b:1::/48")


def new_session(allow_private_addresses: bool = False) -> requests.Session:
    """A session for outside calls; unless allowed, it refuses to talk to private or loopback addresses (SSRF).

    An answer that takes too long, or one that is read at once and is too long, raises requests.RequestException.
    """
    session = requests.Session()
    # Some Moodle sites answer 403 to clients without a name of their own.
    session.headers["User-Agent"] = USER_AGENT
    adapter = _LimitingAdapter() if allow_private_addresses else _PublicOnlyAdapter()
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that an answer asks to wait, at most a day; None when it asks for nothing (RFC 9110 §10.2.3)."""
    told = headers.get("Retry-After", "").strip()
    if told.isascii() and told.isdigit():
        return float(min(int(told[:9]), LONGEST_WAIT))
    try:
        moment = parsedate_to_datetime(told)
    except (TypeError, ValueError):
        return None
    seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(0.0, seconds), float(LONGEST_WAIT))


class _LimitingAdapter(HTTPAdapter):
    def __init__(self) -> None:
        super().__init__(pool_maxsize=32)

    def send(self, request: Any, stream: bool = False, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or DEFAULT_TIMEOUT
        response = super().send(request, stream, *args, **kwargs)
        # Who reads by themselves have a limit of their own.
        vars(response.raw)["stream"] = _limited(response.raw, None if stream else MAXIMUM_BYTES)
        return response


def _limited(raw: HTTPResponse, maximum: int | None) -> Callable[..., Iterator[bytes]]:
    until = time.monotonic() + LONGEST_ANSWER

    def give_up(why: str) -> ProtocolError:
        raw.close()
        return ProtocolError(why)

    def stream(size: int, decode_content: bool = True) -> Iterator[bytes]:
        length = 0
        # `read1` gives what is there; `read` would wait until there is as much as was asked for.
        while part := raw.read1(size, decode_content=decode_content):
            length += len(part)
            if maximum is not None and length > maximum:
                raise give_up(f"the answer is longer than {maximum} bytes")
            if time.monotonic() > until:
                raise give_up(f"the answer was not there within {LONGEST_ANSWER:g} seconds")
            yield part

    return stream


class _PublicOnlyAdapter(_LimitingAdapter):
    def send(self, request: Any, stream: bool = False, *args: Any, **kwargs: Any) -> requests.Response:
        host = urlsplit(request.url).hostname or ""
        # Through a proxy the connection is not ours: what the name means here is looked at before.
        if select_proxy(request.url, kwargs.get("proxies")) and any(not is_public(a) for a in _addresses(host)):
            raise requests.ConnectionError(PRIVATE, request=request)
        return super().send(request, stream, *args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PublicPool, "https": _PublicTlsPool}


class _PublicConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _refuse_private(self, super()._new_conn())


class _PublicTlsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _refuse_private(self, super()._new_conn())


class _PublicPool(HTTPConnectionPool):
    ConnectionCls = _PublicConnection


class _PublicTlsPool(HTTPSConnectionPool):
    ConnectionCls = _PublicTlsConnection


def is_public(address: str) -> bool:
    """Whether an IP address is somebody's on the internet, also by the IPv4 address that it carries inside.

    Not by `is_global` alone: for it, what leads to IPv4 by translation (64:ff9b::/96, RFC 6052) or by a tunnel
    (2002::/16, RFC 3056), the former site-local fec0::/10 (RFC 3879) and groups are global.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and (inside := _inside(parsed)) is not None:
        parsed = inside
    is_own = isinstance(parsed, ipaddress.IPv6Address) and (parsed.is_site_local or parsed in TRANSLATED_WITHIN)
    return parsed.is_global and not parsed.is_multicast and not is_own


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if any(address in network for network in TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _refuse_private(connection: HTTPConnection, sock: socket.socket) -> socket.socket:
    # Checked on the connected socket, not on a look-up before it, so that a name cannot change its mind in between.
    if not is_public(sock.getpeername()[0]):
        sock.close()
        raise NewConnectionError(connection, PRIVATE)
    return sock


def _addresses(host: str) -> list[str]:
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None)]
    except OSError:
        # Known to the proxy only.
        return []
