"""What the tool itself has read from an LMS, kept in the form of our own values; nothing comes by it from outside."""

import secrets

from pydantic import TypeAdapter, ValidationError

from lti_tool.domain.events import GradeEvent
from lti_tool.sources.kind import Access, Delivery, MalformedError, SignatureError, SourceKind

_EVENTS = TypeAdapter(list[GradeEvent])


def write(events: list[GradeEvent]) -> str:
    """The stored form of grade events."""
    return _EVENTS.dump_json(events, exclude_defaults=True).decode()


def _verify(_delivery: Delivery, _access: Access) -> bytes:
    raise SignatureError("This is the tool's own source: nothing can be sent to it.")


def _parse(payload: bytes) -> list[GradeEvent]:
    try:
        return _EVENTS.validate_json(payload)
    except ValidationError as error:
        raise MalformedError(f"body: {error.error_count()} faults") from None


def _delivery_id(_delivery: Delivery, _payload: bytes) -> str:
    return secrets.token_urlsafe(16)


KIND = SourceKind("Read from the LMS", lambda: secrets.token_urlsafe(32), _verify, _delivery_id, _parse)
