"""What the tests of all kinds of source share: a delivery, and what a source checks it with."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from lti_tool.domain.events import GradeEvent
from lti_tool.http import new_session
from lti_tool.sources.kind import Access, Delivery, SourceKind

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SECRET = "the-secret-of-the-source"
CANVAS = Path(__file__).parents[2] / "contract" / "canvas"


def access(
    secrets: Sequence[str] = (SECRET,),
    options: Mapping[str, str] | None = None,
    http: requests.Session | None = None,
    now: datetime = NOW,
) -> Access:
    """What a source checks a delivery with."""
    return Access(secrets, options or {}, http or new_session(allow_private_addresses=True), now)


def delivery(body: object, headers: Mapping[str, str] | None = None, **query: str) -> Delivery:
    """A request with this body: bytes as they are, everything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Delivery(headers or {}, query, content)


def told(kind: SourceKind, sent: Delivery, options: Mapping[str, str] | None = None) -> list[GradeEvent]:
    """The grade events of a delivery, read from what is stored of it."""
    return kind.parse(kind.verify(sent, access(options=options)))


def canvas_example(name: str) -> Any:
    """An event of Canvas' documentation (tests/contract/canvas)."""
    return json.loads((CANVAS / f"{name}.json").read_text())


@cache
def private_key(name: str) -> rsa.RSAPrivateKey:
    """A key pair by name; making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(kid: str, name: str) -> dict[str, Any]:
    """The public half as it stands in a key set."""
    found: dict[str, Any] = RSAAlgorithm.to_jwk(private_key(name).public_key(), as_dict=True)
    return {"kty": found["kty"], "n": found["n"], "e": found["e"], "kid": kid, "use": "sig"}
