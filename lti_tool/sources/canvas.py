"""Canvas Live Events over HTTPS: bare with a secret in the address, or signed by Canvas (Data Services)."""

import json
import re
import secrets
from collections.abc import Mapping
from datetime import datetime

import jwt

from lti_tool.domain.events import GradeEvent
from lti_tool.jwks import KeySetCache, KeySetUnreachableError
from lti_tool.sources import canvas_events
from lti_tool.sources.kind import (
    Access,
    Delivery,
    Option,
    SignatureError,
    SourceKind,
    UnavailableError,
    new_token,
    require_secret,
)
from lti_tool.sources.reading import digest, kept, load

# Where Canvas publishes the keys of signed events, for all its customers (Data Services, "JWT signing").
JWKS_URL = "https://8axpcl50e4.execute-api.us-east-1.amazonaws.com/main/jwks"
KEY_SETS = KeySetCache()
_TOKEN = re.compile(rb"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)

OPTIONS = (
    Option(
        "root_account_uuid",
        "UUID of the root account",
        "Canvas sends it with every event as root_account_uuid. Needed for signed events: Canvas signs the events of "
        "all its customers with the same keys, so this alone says that an event is yours.",
    ),
    Option("jwks_url", "Address of the key set", f"For signed events. Leave it empty for Canvas' own, {JWKS_URL}."),
)


def verify(delivery: Delivery, access: Access) -> bytes:
    """Check where an event comes from, and keep what is read of it.

    Raises SignatureError, MalformedError, and UnavailableError while the key set does not answer.
    """
    token = delivery.body.strip().strip(b'"')
    is_signed = _TOKEN.fullmatch(token) is not None
    if is_signed:
        content = _opened(token, access)
    else:
        require_secret(
            delivery.query.get("key", ""),
            access.secrets,
            "Enter the address with its secret (“?key=…”) in Canvas, or switch on the signing of events there.",
        )
        content = delivery.body
    event = canvas_events.read_event(load(content))
    wanted = access.options.get("root_account_uuid", "")
    if is_signed and not wanted:
        raise SignatureError(
            "Enter the UUID of your root account in the options of this source; signed events need it."
        )
    if wanted and event.metadata.root_account_uuid != wanted:
        raise SignatureError("The event is of another root account than the one in the options of this source.")
    return kept(event)


def parse(payload: bytes) -> list[GradeEvent]:
    """The grade events of a payload; raises MalformedError naming the first wrong field."""
    return canvas_events.read_event(load(payload)).grade_events()


def _opened(token: bytes, access: Access) -> bytes:
    fault = "The signature of the event is not one of Canvas'. Compare the address of the key set in the options."
    try:
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise SignatureError("The signed event does not name its key (“kid”).")
        url = access.options.get("jwks_url") or JWKS_URL
        key = KEY_SETS.key(access.http, url, kid, access.now)
        if key is None:
            raise SignatureError(f"The event is signed with a key that is not in the key set at {url}.")
        # Only the signature: Canvas documents no audience and no end, and a late retry is still a true event.
        content: bytes = jwt.PyJWS().decode(token, key, algorithms=["RS256"])
    except KeySetUnreachableError:
        raise UnavailableError("Canvas' key set does not answer. Send the event again.") from None
    except jwt.PyJWTError:
        raise SignatureError(fault) from None
    return content


def _delivery_id(delivery: Delivery, payload: bytes) -> str:
    # There is no id of an event, and request_id is that of a web request, which may cause several.
    return digest(payload)


def _example(secret: str, options: Mapping[str, str], now: datetime) -> Delivery:
    metadata = {
        "event_name": "grade_change",
        "event_time": now.isoformat(),
        "root_account_uuid": options.get("root_account_uuid", ""),
        "request_id": secrets.token_hex(8),
        "context_type": "Course",
        "context_id": "10000000000001",
    }
    body = {
        "assignment_id": "10000000000001",
        "assignment_name": "Test event",
        "student_id": "10000000000001",
        "score": 1,
        "points_possible": 1,
        "grading_complete": True,
        "muted": False,
    }
    content = json.dumps({"metadata": metadata, "body": body})
    return Delivery({"content-type": "application/json"}, {"key": secret}, content.encode())


KIND = SourceKind(
    "Canvas Live Events",
    new_token,
    verify,
    _delivery_id,
    parse,
    options=OPTIONS,
    shown_in="query",
    example=_example,
)
